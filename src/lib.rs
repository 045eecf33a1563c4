//! drawbridge: a SCIM 2.0 bridge, between identity providers that speak SCIM
//! and applications that do not.
//!
//! # Three ideas
//!
//! **Membership is rows and deltas**, never a list that is read, edited and
//! written back. A PATCH that names two members touches two rows, whatever the
//! size of the group, and two requests at once cannot overwrite each other.
//!
//! **Desired and observed.** The store keeps what the identity provider asked
//! for and what the application last showed or confirmed. Everything that is
//! done upstream is the difference of the two, worked off until there is none.
//! Retry, crash recovery, merging of requests and import are one mechanism.
//!
//! **Decide in pure functions, act in a thin shell.** What must change is a
//! value before it is an action: it can be printed, stored, tested and refused.
//!
//! # The rooms
//!
//! Pure, without clock, randomness, I/O or async:
//! - [`scim`] is the protocol: resources, schemas, filters, PATCH in every
//!   dialect, messages, errors. It knows nothing of this project.
//! - [`plan`] turns a difference into the fewest operations, given what the
//!   application can do.
//!
//! Contracts with private implementations; the constructor returns the contract:
//! - [`store`] remembers. Every method is one whole transaction, and no
//!   transaction escapes.
//! - [`upstream`] is the applications. One door for writes; errors are named by
//!   what the caller does next.
//!
//! The middle:
//! - [`bridge`] is the use cases, the only code that both thinks and acts. It
//!   sees the two contracts and no implementation. A [`bridge::Session`] is the
//!   right to act on one connection; without one nothing can be asked.
//!
//! The edge:
//! - [`http`] is the SCIM front: a guard around the router, handlers that are
//!   one call and a reply, one table of refusals.
//! - [`console`] is the operator's side: a listener and a token of its own.
//! - [`cli`] is the commands, [`config`] the configuration file, [`telemetry`]
//!   the log, and [`app`] wires everything and decides nothing.
//! - [`simulator`] is an application as a real server with faults, for the
//!   demo, the tests and the benchmarks. It knows nothing of the bridge.
//!
//! Arrows go one way: `http` and `cli` to `bridge`, `bridge` to the contracts,
//! those to `plan` and `scim`. `tests/tidy.rs` enforces it and says what to do
//! instead.
//!
//! # The life of one PATCH
//!
//! 1. `http` finds the connection and checks the token before anything is
//!    routed, then bounds and parses the body into a [`scim::patch::Patch`].
//! 2. `bridge` asks `store` for one transaction: precondition, unknown members,
//!    desired set on exactly the rows that are named, new version, audit; then
//!    an fsync that it shares with whoever else is writing.
//! 3. The group's lane takes all rows that differ. If it is idle it starts at
//!    once; otherwise they go with its next turn. That is how a hundred small
//!    requests become a few calls, without any delay when there is just one.
//! 4. `plan` makes operations of them. Removals come first, but for those whose
//!    request adds somebody too, which come after that; a batch is as large as
//!    the application takes; nothing different is no operation. Where a guard
//!    rail watches the group, the application is looked at before a removal.
//! 5. The rows are marked as unknown before anything is sent. Then `upstream`
//!    paces, sends once, and says member by member what was done.
//! 6. `store` records what was learned. What is still unknown is read before
//!    anything is believed about it.
//! 7. The answer waits for its own rows, for `sync_wait` at most: confirmed is
//!    2xx; refused for good is an error that names the members, with their
//!    desired state put back; still open is 2xx too, because it is on disk and
//!    will be delivered (or 503 with `ack = "confirmed"`).
//!
//! # Groups that are alternatives
//!
//! Where a user can have one of several groups only, as of roles, these are a
//! [`plan::state::Family`]. A pair means "at least this one" then and is a call
//! of its own. Whichever lane it comes from, it gives the user what counts when
//! it is sent, and nobody is told of twice at once; so whatever is asked for
//! later is told later. Of a call that nobody answered that one group is in doubt:
//! what no call of ours can have given is not taken away for it. What a look shows to stand
//! before what is asked for, and no row tells of, gives way to that as by a removal: the
//! guard is asked, and what stays is found from then on.
//!
//! # Accounts that cannot be ended
//!
//! Where the application has no end of an account, a deactivation takes every
//! membership away instead, also one that was only found; by that it is this
//! connection's to give back, unless two looks right before show that it is gone. They stay desired; what is wanted of a pair is that
//! it is desired and its user is not withdrawn. The user's lane waits for those of
//! the groups, and an activation only makes the difference again.
//! Of whoever was linked since the last import that is read first, once for everybody.
//! Where the account can be ended and that waits for a look at a group, the same
//! is done meanwhile, and the end of the account waits for none of them.
//!
//! # One owner
//!
//! Where several connections lead to one tenant, the first that asks for a change
//! of a group or account manages it. That is asked in the transaction of the
//! write; what a connection itself has put there it may always take away. Of
//! groups that are alternatives each has its owner, and a user's place among them
//! is that of the connection that asks for it there; another one is refused when
//! its pair is sent, or waits until nothing of the first can land.
//! A group that the configuration of its owner leaves out is the owner's only for
//! whom it asks there, or shows: the end of such a user reaches it still.
//!
//! # When the process dies
//!
//! At start every row that was in flight is unknown, and every lane with a
//! difference starts. There is no undo, no replay and no second code path.
//! Nobody but who leaves is taken out before a first look has shown that the
//! application is the one that is known.
//! What was sent in the last minute is in a file beside the store, so that the
//! limits of an application hold across a restart.

// What a test's helper takes and gives is what its callers have and need.
#![cfg_attr(test, allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps))]

#[macro_use]
mod point;

pub mod app;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod console;
pub mod http;
pub mod plan;
pub mod scim;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod upstream;
