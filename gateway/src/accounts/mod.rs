//! Accounts of operators: what one may do, its password and its tokens. The admin API and the command line make them; who
//! has signed in is found out in `admin`.

mod password;
mod settings;
mod token;

pub use password::{hash, random, verify};
pub use settings::{AccountSettings, Role};
pub use token::{ADMIN_TOKEN, fresh_token};
