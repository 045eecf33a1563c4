//! Plays cases of the SCIM RFCs and recorded exchanges of identity providers
//! against a server and reports where it differs. A case is data (`case`; many
//! in one file: `list`, `vectors`), filled with variables (`template`), sent
//! (`exchange`) and compared (`matching`). `play` chooses the cases by what the
//! server says it has (`features`), `player` plays one profile, `attempt` one
//! case, `report` is the outcome, kept for an auditor by `audit`.
//! Nothing here knows drawbridge, so any server can be judged by it.

mod attempt;
pub mod audit;
pub mod case;
pub mod exchange;
pub mod features;
mod ground;
mod json_path;
mod judging;
pub mod junit;
pub mod library;
mod list;
pub mod listing;
pub mod matching;
mod pattern;
pub mod play;
mod player;
mod redact;
pub mod report;
mod resource;
mod section;
mod standing;
pub mod template;
pub mod terminal;
mod vectors;
mod wording;

pub use play::{Optional, Options, PlayError, Progress, play, play_telling};
pub use report::Report;
