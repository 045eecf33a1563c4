//! An application with roles, of a simulated world: in each of two families a
//! user has one role at most, and accounts appear by themselves. It answers as
//! a client of such an application would: it looks before it writes, its looks
//! lag, and what it writes may fail, or come to be long after it was given up.
//! Several accounts may have one address, and several connections lead to it,
//! each with roles of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{
    super::{below, chance, now, pick},
    Kind,
};
use crate::{
    plan::capability::{Act, Capabilities, Capability, Certainty, Identifier},
    scim::schema::Schemas,
    upstream::{Millis, UpstreamError},
};
use state::{State, Write};

mod answers;
mod calls;
mod state;

/// The roles of each family, the first before all others.
pub(super) const ROLES: [&str; 3] = ["admin", "viewer", "member"];
pub(super) const FAMILIES: [&str; 2] = ["north", "south"];

/// `north/admin` and the like.
pub(super) fn name_of(family: &str, rank: usize) -> String {
    format!("{family}/{}", ROLES[rank])
}

fn parts(group: &str) -> (String, usize) {
    let (family, role) = group.split_once('/').expect("a name of ours");
    let rank = ROLES.iter().position(|it| *it == role).expect("a role");
    (family.to_owned(), rank)
}

/// In which way it lies, without a word of it in its answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lie {
    #[default]
    None,
    /// Does not fail either.
    Harmless,
    GivesNothing,
    TakesNothing,
    LowersNothing,
    GivesTheHighest,
    EndsNothing,
    GivesToTwins,
    TakesFromTwins,
    /// Nor what another connection asks for.
    SparesNothing,
    /// It takes what somebody gave by hand, as if the bridge had asked for that.
    TakesByHand,
}

/// Other accounts of an address are called so, after it.
const TWIN: char = '*';

/// An account is called by its address, but for others that have it too.
pub(super) fn address(account: &str) -> &str {
    account.trim_end_matches(TWIN)
}

pub(super) fn twin_of(account: &str) -> String {
    format!("{account}{TWIN}")
}

fn id_of(account: &str) -> String {
    format!("id of {account}")
}

/// Whose an id is.
pub(super) fn account_of(id: &str) -> &str {
    id.trim_start_matches("id of ")
}

/// One change: by whom, of whom, in which family, from and to which rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: Millis,
    /// Which connection; `None`: somebody in the application.
    pub(super) by: Option<usize>,
    pub(super) account: String,
    pub(super) family: String,
    pub(super) was: Option<usize>,
    pub(super) rank: Option<usize>,
    /// By a call that was given up before.
    pub(super) late: bool,
}

/// The application as one connection knows it.
#[derive(Clone)]
pub(super) struct Roles {
    can: Capabilities,
    schemas: Arc<Schemas>,
    late_by: u64,
    lie: Lie,
    /// Which connection this is, and of each family the roles that it has.
    by: usize,
    own: [Vec<usize>; 2],
    kind: Kind,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roles")
    }
}

fn unclear(reason: &str) -> UpstreamError {
    UpstreamError::Unknown {
        reason: reason.into(),
    }
}

fn later() -> UpstreamError {
    UpstreamError::Later {
        after: chance(50).then(|| Duration::from_secs(below(4))),
        reason: "not now".into(),
    }
}

impl Roles {
    pub(super) fn new((kind, lie): (Kind, Lie), late_by: Duration) -> Self {
        use Act::{AddMembers, CreateUser, DeactivateUser, ReactivateUser, RemoveMembers};
        let able = [
            CreateUser,
            DeactivateUser,
            ReactivateUser,
            AddMembers,
            RemoveMembers,
        ];
        let row = |act| Capability {
            act,
            able: true,
            batch: 1,
            by: Identifier::Id,
            certainty: Certainty::Documented,
            note: "".into(),
        };
        Self {
            can: Capabilities {
                application: "Test".into(),
                rows: able.into_iter().map(row).collect(),
            },
            schemas: Arc::new(Schemas::new(&[], &[])),
            late_by: u64::try_from(late_by.as_millis()).unwrap(),
            lie,
            by: 0,
            own: [0, 1].map(|_| (0..ROLES.len()).collect()),
            kind,
            state: Arc::new(Mutex::new(State {
                faults: if lie == Lie::None { 25 } else { 0 },
                ..State::default()
            })),
        }
    }

    /// The same as two connections know it, of which each has roles of its own:
    /// of a family one has one and the other the other two.
    pub(super) fn shared(self) -> [Self; 2] {
        let mut own = [(); 2].map(|()| [Vec::new(), Vec::new()]);
        let [one, other] = &mut own;
        for (one, other) in one.iter_mut().zip(other) {
            let (alone, side) = (below(ROLES.len() as u64), below(2));
            for (rank, at) in (0..ROLES.len()).zip(0_u64..) {
                let whose = match (side == 1) != (at == alone) {
                    false => &mut *one,
                    true => &mut *other,
                };
                whose.push(rank);
            }
        }
        let [one, other] = own;
        let of = |by, own| Self {
            by,
            own,
            ..self.clone()
        };
        [of(0, one), of(1, other)]
    }

    pub(super) fn draw_lag(&self) {
        self.lock().lag = *pick(&[0, 0, 1_000, 5_000]);
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Which connection this is.
    pub(super) fn number(&self) -> usize {
        self.by
    }

    /// Whether this connection has a role.
    pub(super) fn owns(&self, family: &str, rank: usize) -> bool {
        self.ranks(family).contains(&rank)
    }

    pub(super) fn ranks(&self, family: &str) -> &[usize] {
        let place = FAMILIES.iter().position(|it| *it == family);
        &self.own[place.expect("a family")]
    }

    /// Its groups.
    pub(super) fn names(&self) -> Vec<String> {
        let of = |family: &&str| {
            let ranks = self.ranks(family).to_vec().into_iter();
            let family = (*family).to_owned();
            ranks.map(move |rank| name_of(&family, rank))
        };
        FAMILIES.iter().flat_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What becomes of calls whose bridge died, in the order in which they were made.
    pub(super) fn fall(&self) {
        let mut cut = std::mem::take(&mut self.lock().cut);
        cut.sort_by_key(|(number, _)| *number);
        for (_, sent) in cut {
            if chance(50) {
                let at = self.late();
                self.lock().coming.push((at, sent));
            }
        }
    }

    fn late(&self) -> Millis {
        now() + Millis::try_from(below(self.late_by * 9 / 10)).unwrap()
    }

    /// Whether it was not there before.
    pub(super) fn appear(&self, account: &str) -> bool {
        self.lock().known.insert(account.to_owned())
    }

    /// An account is gone, with all that it had.
    pub(super) fn vanish(&self, account: &str) {
        let mut state = self.lock();
        state.settle();
        state.known.remove(account);
        for family in FAMILIES {
            let key = (account.to_owned(), family.to_owned());
            if let Some((id, _)) = state.held.get(&key).copied() {
                state.perform((now(), None), account, family, &Write::Take(id));
            }
        }
    }

    /// Somebody sets a role in the application itself.
    pub(super) fn by_hand(&self, account: &str, family: &str, rank: usize) {
        let mut state = self.lock();
        state.settle();
        let key = (account.to_owned(), family.to_owned());
        let write = match state.held.get(&key) {
            Some((id, _)) => Write::Change(*id, rank),
            None => Write::Give(rank),
        };
        assert!(state.perform((now(), None), account, family, &write));
    }

    /// Of whom a call was refused, in which family.
    pub(super) fn refused(&self) -> BTreeSet<(String, String)> {
        self.lock().refused.clone()
    }

    /// Whether a call whose outcome is not known may give a role.
    pub(super) fn may_give(&self, account: &str, family: &str, rank: usize) -> bool {
        let given = (account.to_owned(), family.to_owned(), rank);
        self.lock().may_give.contains(&given)
    }

    /// The bridge died between taking a pair in hand and the answer, or the call.
    pub(super) fn was_in_hand(&self, group: &str, account: &str) {
        let (family, rank) = parts(group);
        let given = Write::Give(rank);
        self.lock().note_given(account, &family, &given);
    }

    pub(super) fn is_refused(&self, account: &str, family: &str) -> bool {
        let of = (account.to_owned(), family.to_owned());
        self.lock().refused.contains(&of)
    }

    /// Whether somebody gave a role after a refusal.
    pub(super) fn is_given_by_hand(&self, account: &str, family: &str) -> bool {
        let by_hand = |it: &Change| it.by.is_none() && it.account == account && it.family == family;
        self.kind == Kind::Hands && self.lock().log.iter().any(by_hand)
    }

    pub(super) fn lie(&self) -> Lie {
        self.lie
    }

    /// As if a call of the bridge had done it.
    pub(super) fn takes(&self, account: &str, family: &str) {
        let mut state = self.lock();
        let key = (account.to_owned(), family.to_owned());
        if let Some((id, _)) = state.held.get(&key).copied() {
            state.perform((now(), Some(self.by)), account, family, &Write::Take(id));
        }
    }

    pub(super) fn be_well(&self) {
        self.lock().faults = 0;
    }

    pub(super) fn has(&self, account: &str, family: &str) -> Option<usize> {
        let mut state = self.lock();
        state.settle();
        let key = (account.to_owned(), family.to_owned());
        state.held.get(&key).map(|(_, rank)| *rank)
    }

    /// When something about a user was last left open, or landed late.
    pub(super) fn unclear(&self, account: &str) -> Option<Millis> {
        let mut state = self.lock();
        state.settle();
        state.unclear.get(account).copied()
    }

    pub(super) fn last_unclear(&self) -> Millis {
        self.lock().unclear.values().copied().max().unwrap_or(0)
    }

    pub(super) fn awaits_late_calls(&self) -> bool {
        !self.lock().coming.is_empty()
    }

    pub(super) fn log(&self) -> Vec<Change> {
        self.lock().log.clone()
    }

    pub(super) fn writes(&self) -> Vec<Millis> {
        self.lock().writes.clone()
    }
}
