//! Which model should answer? A virtual model's route asks a classifier how well each of its candidates would do, and
//! sends a request where its objective is met. Decisions are pure; the classifier is crate `router-model`.

mod assess;
mod calibration;
mod classifier;
mod conversations;
mod decision;
mod evidence;
mod external;
mod feedback_log;
mod hesitation;
mod named;
mod needs;
mod policy;
mod prompt;
mod recent;
mod repeats;
mod route;
mod rules;
pub mod shadow;
pub mod simulation;
mod slots;
mod stage1;
mod traffic;

pub use assess::{Assessment, Subject, assess};
pub use calibration::{Calibrations, Routed, Shift};
pub use classifier::{BUILTIN, Classifier, Classifiers, library_places, load};
pub use conversations::Conversations;
pub use decision::{Decision, Reason, Verdict};
pub use evidence::{
    Evidence, Exclusion, Kept, Objective, Prospect, RuleHit, Score, SecondOpinion, Stage1Outcome, Unscored,
};
pub use external::{External, ExternalClient};
pub use feedback_log::{FeedbackLog, read as read_feedback};
pub use hesitation::Hesitations;
pub use named::threshold as named_threshold;
pub use policy::decide;
pub use prompt::{Steps, last_user_text, steps};
pub use repeats::{Repeatable, Repeats};
pub use route::{Candidate, Forecast, Route};
pub use rules::{Asked, Rule};
pub use shadow::{Shadow, ShadowOutcome, Shadows};
pub use stage1::Stage1;
pub use traffic::Traffic;
