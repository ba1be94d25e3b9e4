//! The tests. Each takes a place without a database schema.

/// Runs each named test of this module on both databases.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&crate::databases::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&crate::databases::Place::postgres()).await;
            })*
        }
    };
}

mod backup;
mod concurrency;
mod contents;
mod ledger;
mod open;
mod property;
mod records;
mod reports;
mod request_log;
mod route_feedback;
mod throughput;
