//! Plays recorded exchanges of identity providers against a SCIM server and
//! reports where the server differs. A case is data (`case`), filled with
//! variables (`template`), sent (`exchange`) and compared (`matching`). `play`
//! chooses the cases, `player` plays one profile, `report` is the outcome.
//! Nothing here knows drawbridge, so any server can be judged by it.

pub mod case;
pub mod exchange;
mod ground;
mod json_path;
pub mod junit;
pub mod library;
pub mod matching;
pub mod play;
mod player;
mod redact;
pub mod report;
pub mod template;
pub mod terminal;

pub use play::{Optional, Options, PlayError, Progress, play, play_telling};
pub use report::Report;
