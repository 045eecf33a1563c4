//! One turn of a lane: what there is to do, and what was learned by it.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    plan::{
        operation::Operation,
        state::{
            Existence, Fallback, Family, GroupKey, GroupWork, Holding, ObservedAccount, Principal,
            UserKey, UserWork,
        },
    },
    scim::resource::{ResourceId, ResourceType},
};

use super::{Delay, Millis, Seat};

/// One turn of a user's lane. The row is marked in flight (observed unsure)
/// in the same transaction that handed this out.
#[derive(Debug, Clone, PartialEq)]
pub struct UserTurn {
    pub work: UserWork,
    pub version: u64,
    /// An earlier call's end is not known: read the account before planning.
    pub unsure: bool,
    /// The account of who must have nothing is looked for, and the guard is to be
    /// asked before it is ended; see [`Store::may_end`](super::Store::may_end).
    pub unjudged: bool,
    /// When the row was made; an account that is older was not made for it. `None`
    /// where somebody who was deleted here had the account and the application has
    /// confirmed its end: it may keep its age when it is made anew.
    pub since: Option<Millis>,
    /// When an import began that was over by then and would have shown the account.
    pub listed: Option<Millis>,
    /// How the withdrawal of the memberships ended, if it has.
    pub withdrawn: Option<Withdrawn>,
    /// When what is wanted of it was asked for.
    pub asked: Millis,
    /// Memberships were taken away before its account is ended, so that a refusal
    /// of that leaves it not as it was.
    pub begun: bool,
    /// The account that the last user had who was deleted with this address, by the
    /// application's id, where this one has none yet.
    pub formerly: Option<String>,
}

impl UserTurn {
    /// The same of two turns only where the first has changed nothing.
    pub fn round(&self) -> u64 {
        let work = &self.work;
        hashed(&(
            (&work.wanted, &work.observed, work.deleted),
            (&work.principal.upstream_id, &work.memberships),
            (self.version, self.unsure, self.unjudged),
            (&self.withdrawn, self.begun),
        ))
    }
}

impl GroupTurn {
    /// The same of two turns only where the first has changed nothing.
    pub fn round(&self) -> u64 {
        let work = &self.work;
        let named = |members: &[Principal]| {
            let named = members.iter().map(|it| (it.user, it.upstream_id.clone()));
            named.collect::<Vec<_>>()
        };
        hashed(&(
            (work.wanted, work.kept, work.observed, work.made),
            (&work.name, &work.naming),
            (named(&work.adds), named(&work.removes), work.alone),
            (self.seq, self.more, self.doubted, self.mistakable),
            (&self.guess, self.remains, self.shown_absent),
        ))
    }
}

fn hashed(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// How it ended that the memberships of a user were taken away, because the
/// application cannot end the account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Withdrawn {
    Whole,
    /// Why some are still there.
    Refused(String),
}

/// One turn of a group's lane. Every pair in `work` is marked
/// observed-unknown in the same transaction that handed this out, and a new,
/// absent or unwanted group likewise.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTurn {
    pub work: GroupWork,
    pub seq: u64,
    /// There are more dirty pairs than fitted.
    pub more: bool,
    /// A creation or deletion that was given up may still land on this name.
    pub doubted: bool,
    pub family: Option<Family>,
    /// Whom a creation may have named, open in this turn or not; only of a group of
    /// which it is not known whether it was made.
    pub named: Vec<Principal>,
    /// The last groups of this name that were deleted here, where it is not known
    /// whether this one was made.
    pub before: Vec<GroupKey>,
    /// What may still land on this name is, perhaps, a call about one of those.
    pub mistakable: bool,
    /// The deletion has no other ground than a creation of which no answer came.
    pub guess: Option<Guess>,
    /// What may be ours by its name is there, as was seen before: the application's no
    /// to a creation tells nothing before that was looked at again.
    pub remains: bool,
    /// A look has shown nothing by its name since, or right before, a creation was sent:
    /// what is there by now came with that one, as far as can be known.
    pub shown_absent: bool,
}

/// What speaks against that what has a group's name is what a creation has made of
/// which no answer came, before it was looked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Guess {
    /// Why it is another one's, whatever is in it.
    pub anothers: Option<Another>,
    /// A look has shown others in it: one that is empty now proves nothing.
    pub others: bool,
    /// Whoever asked for it was answered that it was refused.
    pub withdrawn: bool,
    /// Nothing but the name says that it is ours: it may have been there before the
    /// creation, and that nobody is in it proves nothing.
    pub unproven: bool,
}

/// Why nothing is done about what has a group's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Another {
    Found,
    Managed,
    Protected,
}

impl Another {
    pub fn why(self) -> &'static str {
        match self {
            Self::Found => "import has found it",
            Self::Managed => "another connection of this bridge manages it",
            Self::Protected => "it is protected (protected_groups, least_members)",
        }
    }
}

/// What is there and may be what a creation has made of which no answer came, and is
/// left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The application's name for it.
    pub name: String,
    /// What the group was to be called.
    pub title: String,
    pub why: String,
}

/// What a pair of a family comes to at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counting {
    /// What the user is to have; see [`Principal::counts`].
    ///
    /// [`Principal::counts`]: crate::plan::state::Principal::counts
    pub counts: Option<Alternative>,
    /// The same if nothing before the pair's own group were asked for.
    pub at_most: Option<Alternative>,
    /// What it was chosen among, in the order of the family, and where the
    /// pair's own group stands in that.
    pub among: Vec<Alternative>,
    pub rank: u32,
    /// See [`Principal::given_up`].
    ///
    /// [`Principal::given_up`]: crate::plan::state::Principal::given_up
    pub given_up: Vec<String>,
    /// Of another connection; unless it is free nothing is sent.
    pub seat: Seat,
    /// Asked for before the pair's own group was left out of the configuration, so
    /// kept until that is offered again.
    pub kept: bool,
    /// See [`Principal::has`].
    ///
    /// [`Principal::has`]: crate::plan::state::Principal::has
    pub has: bool,
    /// What an answer told last of what the user has in the family, and when; the
    /// time is missing where it may be another group of it by now.
    pub holding: Option<Holding>,
    pub told: Option<Millis>,
    /// See [`Principal::fallback`].
    ///
    /// [`Principal::fallback`]: crate::plan::state::Principal::fallback
    pub fallback: Option<Fallback>,
}

impl Counting {
    /// What is only found, or about to go when somebody says so, is kept where it
    /// is; a user is raised to it never, because it may be out of date.
    pub fn of(rank: u32, among: Vec<Alternative>) -> Self {
        let first = |counts: &dyn Fn(&Alternative) -> bool| {
            let mut counting = among.iter().filter(|it| counts(it));
            counting.next().cloned()
        };
        Self {
            counts: first(&|it| it.asked || it.rank >= rank),
            at_most: first(&|it| it.rank >= rank),
            among,
            rank,
            given_up: Vec::new(),
            seat: Seat::Free,
            kept: false,
            has: false,
            holding: None,
            told: None,
            fallback: None,
        }
    }

    /// The same without what was only found and stands in the place of this group, which
    /// is there no more: it is no other one that the user is to keep.
    #[must_use]
    pub fn without_found(mut self, stands_in: impl Fn(&str) -> bool) -> Self {
        self.among.retain(|it| it.asked || !stands_in(&it.name));
        let Self {
            counts, at_most, ..
        } = Self::of(self.rank, self.among.clone());
        Self {
            counts,
            at_most,
            ..self
        }
    }

    /// The same among the groups that the application offers still.
    #[must_use]
    pub fn offered(self, offers: impl Fn(&str) -> bool) -> Self {
        let (among, gone): (Vec<_>, Vec<_>) =
            self.among.into_iter().partition(|it| offers(&it.name));
        let given_up = gone.into_iter().filter(|it| it.asked);
        Self {
            given_up: given_up.map(|it| it.name).collect(),
            seat: self.seat,
            kept: self.kept,
            has: self.has,
            holding: self.holding,
            told: self.told,
            fallback: self.fallback,
            ..Self::of(self.rank, among)
        }
    }
}

/// What becomes of a group that stands before the one that a user is asked for in, and
/// that the application shows the user to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Higher {
    /// It is asked for or was found before; or nobody can tell whether it is anybody's
    /// wish, and it is shown as found from now on.
    Stays,
    /// What is asked for is given in its place. The guard has counted that.
    GivesWay,
    /// That is not known yet.
    Waits,
    /// It stays, and what is asked for is refused for that reason.
    Refused(String),
}

/// One group of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The application's name for it.
    pub name: String,
    pub rank: u32,
    /// Somebody asked for the user in it, so it was not only found.
    pub asked: bool,
}

/// A group of a family as the configuration has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The application's name for it.
    pub name: String,
    pub offered: bool,
    /// Where it stands, as far as that is known.
    pub family: Option<Family>,
}

/// A group of a family that the configuration offers no more, or that is there no more,
/// and how many are asked for in it: whoever has it keeps it, and nobody is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotOffered {
    pub group: ResourceId,
    /// The application's name for it.
    pub name: String,
    pub asked: u64,
}

/// The outcome, in a word, of a call that may or may not have been done.
pub const UNANSWERED: &str = "unknown";

/// The same, of one that was done.
pub const DONE: &str = "done";

/// What a lane has to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Pending {
    User(Box<UserTurn>),
    Group(Box<GroupTurn>),
    /// Additions to a group that wait for accounts which are yet to be made.
    Waiting(Box<GroupTurn>),
    /// A user whose account is not there yet.
    Staged(ResourceId),
    /// Nothing of it is sent before something else is done.
    Delayed(ResourceType, ResourceId, Delay),
}

/// What a group turn learned, written in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupLearned {
    /// The group's existence, if it was learned.
    pub existence: Option<Existence>,
    /// It was there in this turn, made by it or found, whatever is known of it at
    /// the end: it is not taken for somebody else's afterwards.
    pub made: bool,
    /// Pairs now known to be present or absent upstream.
    pub present: Vec<UserKey>,
    pub absent: Vec<UserKey>,
    /// Those of them that only a read showed, which may lag behind: they are
    /// said once more when it can lag no longer.
    pub read: Vec<UserKey>,
    /// Members of whom a replacement that named them did not say that it kept
    /// them: they are put there again.
    pub left_out: Vec<UserKey>,
    /// Ids that users' accounts have now, as they were made anew.
    pub ids: Vec<(UserKey, String)>,
    /// What answers told of what users have now in the group's family.
    pub holdings: Vec<(UserKey, Option<Holding>)>,
    /// Pairs as they were before the turn began: certainly not sent.
    pub unsent: Vec<UserKey>,
    /// Pairs the application refused for good: desired is put back to what is
    /// observed (an add becomes not-a-member, a remove a member again), if
    /// nobody changed the pair since the turn began.
    pub refused: Vec<(UserKey, String)>,
    /// Those of them of which the application said nothing, and a read showed
    /// the contrary: they may come to be all the same.
    pub contradicted: Vec<UserKey>,
    /// The group itself was refused (its creation): a fresh group is withdrawn,
    /// and one that was to be renamed is called as before.
    pub group_refused: Option<String>,
    /// The application does not have it any more, and why nothing is done about
    /// that: it is not made again before somebody is asked for in it.
    pub gone: Option<String>,
    /// What was found was taken over because nobody is in it, and nothing else says that
    /// it was made from here.
    pub unproven: bool,
    /// See [`GroupTurn::shown_absent`], where that is news.
    pub shown_absent: bool,
    /// What has its name was not made from here, and is left alone; and why.
    pub foreign: Option<String>,
    /// Of such as that what may be ours all the same: it is told.
    pub remains: Vec<Remains>,
    /// The id that the application gave it.
    pub name: Option<String>,
    /// What the application calls it now; and whether it is yet to be told.
    pub titled: Option<String>,
    pub title_open: bool,
    /// What was tried, for the audit: (operation, outcome in a word, what left for it).
    pub calls: Vec<(Operation, String, Took)>,
    /// Why it could not be read who is in it, of whom the calls said nothing.
    pub unread: Option<Unread>,
    /// It did nothing that the turn before it did not do, so the audit has it.
    pub repeats: bool,
}

impl GroupLearned {
    /// Nothing was sent and nothing learned.
    pub fn is_idle(&self) -> bool {
        self.refused.is_empty() && self.is_untold()
    }

    /// The same, but for what a rule of this side refused.
    pub fn is_untold(&self) -> bool {
        let untold = Self {
            unsent: self.unsent.clone(),
            refused: self.refused.clone(),
            unread: self.unread.clone(),
            repeats: self.repeats,
            ..Self::default()
        };
        *self == untold
    }
}

/// Members of whom it is not known what calls did, as they cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub users: Vec<UserKey>,
    /// Whether they are to be in it.
    pub wanted: bool,
    pub reason: String,
}

/// What left for one operation, for the audit; and what it has taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Took {
    pub millis: u64,
    /// Each request that could change something, with its outcome and its
    /// milliseconds; `None` where there was one, which ended as the operation did.
    pub requests: Option<Vec<(String, u64)>>,
    /// Of the end of an account that is several calls: memberships that were ended,
    /// whatever became of the others, each of an account by its id, in a group.
    pub ended: Vec<(String, String)>,
    /// What is left of it for later, and why, in words of this side.
    pub left: Option<String>,
}

impl From<u64> for Took {
    fn from(millis: u64) -> Self {
        Self {
            millis,
            ..Self::default()
        }
    }
}

/// What a user turn learned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserLearned {
    /// The account that it is about; what was learned of another one than the
    /// user has by now is not kept.
    pub about: Option<String>,
    /// The new observed state; `None` leaves it as it was.
    pub observed: Option<ObservedAccount>,
    /// Nothing is in flight any more; false keeps the row unsure.
    pub settled: bool,
    /// It is done, as far as can be seen now, and will be done once more.
    pub again: bool,
    /// Of the end of an account a look alone told, which may lag: there was nothing.
    pub had_nothing: bool,
    pub upstream_id: Option<String>,
    /// Who must have nothing has an account of which nothing was known.
    pub found: bool,
    /// The account was there before it was known to be the user's, so what it is a member
    /// of has to be read yet.
    pub linked: bool,
    /// An account that is there is taken for what a creation has made of which no answer
    /// came.
    pub taken_over: Option<TakenOver>,
    /// Refused for good: the row is not tried again until the next write.
    pub refused: Option<String>,
    /// The account is not there and cannot be made: the row is not tried again
    /// until the next write, or until the application shows it.
    pub staged: bool,
    /// The account was made anew: every membership of it is unknown and must
    /// be put there again.
    pub recreated: bool,
    /// That is not sure: what the account before was a member of may be there still.
    pub may_stand: bool,
    /// The account cannot be ended: every membership is to be taken away instead.
    pub withdraws: bool,
    /// It cannot be ended for now: they are taken away until it can.
    pub meanwhile: bool,
    /// That has come to its end.
    pub withdrawn: bool,
    /// Why nothing could be sent, in words of this side.
    pub left: Option<String>,
    pub calls: Vec<(Operation, String, Took)>,
}

/// What speaks against that it was made from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// The application shows other names than were asked for.
    pub differs: bool,
    /// It is older than the request for it.
    pub older: bool,
}

/// A lane with work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    User(UserKey),
    Group(GroupKey),
}
