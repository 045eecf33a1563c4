//! Groups that the application knows by an id that it gives. A creation of which
//! no answer came has left a group whose id nobody told: it is found again by
//! what it was called, among those that no row has and that are not older than
//! the request, with nobody in them but who was asked for, and never made twice. What somebody else has made is not taken
//! over (reliability: R-04).

use super::{
    CLOCKS_APART, MISDATED, Pause,
    groups::{OTHERS, Turn, UNPROVEN},
    is_misdated, pause_after, refusal,
};
use crate::{
    plan::{
        operation::Operation,
        state::{Existence, Given, Naming},
    },
    store::{Millis, StoreError},
    upstream::{Outcome, RemoteGroup, UpstreamError},
};

const SEVERAL: &str = "several groups are called so, and one of them may be the one that was made";

/// What an application may leave of a moment that it tells in whole seconds.
const TICK: Millis = 1_000;

/// Of another connection no more is said: whoever reads this may be of another company.
const ELSEWHERE: &str = "has a group of this name already, which another connection of this bridge \
    manages (create the group); choose another displayName or ask the bridge's administrator";

/// What is called as the group was to be.
struct Candidates {
    /// What it may be by who is in it, and whether more than that tells so.
    ours: Vec<(String, bool)>,
    /// Another connection has made one of them.
    elsewhere: bool,
}

impl Turn<'_> {
    /// Finds out which group a creation has made that may have been done; the
    /// end of the turn where nothing else can be done in it.
    pub(super) async fn find_given(&mut self) -> Option<Pause> {
        let Naming::Given(given) = self.work.naming.clone() else {
            return None;
        };
        if given.known || self.work.observed == Existence::Absent {
            return None;
        }
        let found = match self.candidates(&given).await {
            Ok(found) => found,
            Err(pause) => return Some(self.nothing_sent(pause)),
        };
        let names: Vec<String> = found.ours.iter().map(|(name, _)| name.clone()).collect();
        match &found.ours[..] {
            [(one, proven)] if *proven || self.work.wanted || self.work.kept => {
                self.learned.unproven = !proven;
                if let Some(guess) = &mut self.guess {
                    guess.unproven = false;
                }
                self.adopt(one.clone(), given);
                None
            }
            [] if found.elsewhere && self.work.wanted => {
                let app = &self.upstream.capabilities().application;
                self.refuse_to_make(format!("{app} {ELSEWHERE}"));
                Some(Pause::None)
            }
            [(one, _)] => {
                self.remains(one.clone(), self.title(), UNPROVEN);
                if self.doubted {
                    return Some(self.nothing_sent(Pause::Look));
                }
                self.learned.existence = Some(Existence::Absent);
                Some(self.nothing_sent(Pause::None))
            }
            // It may still come to be.
            [] if self.doubted => Some(self.nothing_sent(Pause::Look)),
            [] => {
                self.learned.existence = Some(Existence::Absent);
                Some(self.nothing_sent(Pause::None))
            }
            _ if self.work.wanted => {
                self.tell_all(&names);
                self.refuse_creation(&UpstreamError::Exists {
                    reason: SEVERAL.into(),
                });
                Some(Pause::None)
            }
            _ => {
                tracing::warn!(group = %self.work.id, "several groups may be one that was made and is not wanted any more; none is deleted");
                self.tell_all(&names);
                self.learned.existence = Some(Existence::Absent);
                Some(Pause::None)
            }
        }
    }

    pub(super) fn nothing_sent(&mut self, pause: Pause) -> Pause {
        self.return_unsent();
        pause
    }

    fn adopt(&mut self, name: String, given: Given) {
        self.learned.existence = Some(Existence::Present);
        self.learned.name = Some(name.clone());
        self.learned.titled.clone_from(&given.made_as);
        self.work.observed = Existence::Present;
        self.work.name = name;
        let renamed = given.made_as.as_ref() != Some(&given.title);
        self.work.naming = Naming::Given(Given {
            known: true,
            renamed,
            ..given
        });
    }

    fn tell_all(&mut self, found: &[String]) {
        for name in found {
            self.remains(name.clone(), self.title(), SEVERAL);
        }
    }

    async fn candidates(&mut self, given: &Given) -> Result<Candidates, Pause> {
        let Some(title) = &given.made_as else {
            return Ok(Candidates {
                ours: Vec::new(),
                elsewhere: false,
            });
        };
        let since = given.since.saturating_sub(CLOCKS_APART);
        let listed = self.since.listed(given.since);
        let from = match listed {
            Some(_) => given.since.saturating_sub(MISDATED),
            None => since,
        };
        let found = self.upstream.groups_called(title, from).await;
        let mut found = found.map_err(|error| pause_after(&error))?;
        found.retain(|group| {
            group
                .created
                .is_none_or(|created| created >= since || is_misdated(created, given.since, listed))
        });
        if found.is_empty() {
            self.note_absent();
        }
        let names = found.iter().map(|group| group.name.clone()).collect();
        let (free, elsewhere) = self.free_of(names).await.map_err(|error| {
            tracing::error!(%error, "a lane cannot use the store");
            Pause::BackOff
        })?;
        let found = found
            .into_iter()
            .filter(|it| free.contains(&it.name) && !elsewhere.contains(&it.name));
        let looks = self.looks(found).await?;
        let answered = self.guess.as_ref().is_none_or(|guess| guess.withdrawn);
        let mut ours = Vec::new();
        for (group, look) in looks {
            if !look.is_others() {
                // By clocks that differ it may be older than what was asked for.
                let is_newer = |created| created > given.since.saturating_sub(TICK);
                let newer = group.created.is_some_and(is_newer);
                let proven = !look.is_empty() || self.shown_absent || newer;
                let likely = proven || group.created.is_some();
                ours.push((likely, (group.name, proven)));
            } else if look.may_be_ours(answered, false) {
                self.remains(group.name, title.clone(), OTHERS);
            }
        }
        if ours.iter().any(|(likely, _)| *likely) {
            ours.retain(|(likely, _)| *likely);
        }
        Ok(Candidates {
            ours: ours.into_iter().map(|(_, one)| one).collect(),
            elsewhere: !elsewhere.is_empty(),
        })
    }

    /// Those that no row of the connection has, and those that another one has made.
    async fn free_of(&self, names: Vec<String>) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let free = self.since.without_row(names).await?;
        let elsewhere = self.since.made_elsewhere(free.clone()).await?;
        Ok((free, elsewhere))
    }

    /// What a group that is there is called, where that is said from here.
    pub(super) fn compare_title(&mut self, found: &RemoteGroup) {
        let Naming::Given(given) = &mut self.work.naming else {
            return;
        };
        let shown = self.upstream.group_attributes(found);
        given.renamed |= shown.text("displayName") != Some(given.title.as_str());
    }

    /// What it is to be called, where it is not, as far as is known.
    pub(super) fn open_title(&self) -> Option<&str> {
        match &self.work.naming {
            Naming::Given(given) if given.renamed && self.work.wanted => Some(&given.title),
            _ => None,
        }
    }

    /// Looks whether it is called as was said a moment ago, which is said again later
    /// where that is not so; the end of the turn where nothing can be seen.
    pub(super) async fn look_at_title(&mut self) -> Option<Pause> {
        let found = match self.upstream.group(&self.work.name).await {
            Ok(Some(found)) => found,
            Ok(None) => return None,
            Err(error) => return Some(self.nothing_sent(pause_after(&error))),
        };
        let shown = self.upstream.group_attributes(&found);
        let Naming::Given(given) = &mut self.work.naming else {
            return None;
        };
        given.renamed = false;
        if shown.text("displayName") == Some(given.title.as_str()) {
            self.learned.titled = Some(given.title.clone());
        } else {
            self.learned.title_open = true;
        }
        None
    }

    /// An answer that does not tell the id of the group that it made is none, and
    /// one that tells another group's would put members into that, or delete it.
    pub(super) async fn named(
        &self,
        operation: &Operation,
        result: Result<Outcome, UpstreamError>,
    ) -> Result<Outcome, UpstreamError> {
        let creates = matches!(operation, Operation::CreateGroup { .. });
        let Ok(outcome) = &result else {
            return result;
        };
        if !creates || !self.is_given() {
            return result;
        }
        let reason = match &outcome.upstream_id {
            None => "the answer does not tell the group's id",
            Some(id) => match self.since.is_anothers(id).await {
                Ok(false) => return result,
                Ok(true) => "the answer tells the id of another group",
                Err(error) => {
                    tracing::error!(%error, "a lane cannot use the store");
                    "whose id the answer tells cannot be found out"
                }
            },
        };
        Err(UpstreamError::Unknown {
            reason: reason.into(),
        })
    }

    /// What a call that was done says of a group's id and of what it is called.
    pub(super) fn note_title(&mut self, operation: &Operation, id: Option<String>) {
        if !self.is_given() {
            return;
        }
        match operation {
            Operation::CreateGroup { name, .. } => {
                self.learned.name = id;
                self.learned.titled = Some(name.clone());
            }
            Operation::RenameGroup { title, .. } => {
                self.learned.titled = Some(title.clone());
                self.learned.title_open = false;
            }
            _ => {}
        }
    }

    /// Somebody has deleted it there. It is not made again before it is asked
    /// for again.
    pub(super) fn vanished(&mut self, act: &str) -> Pause {
        let missing = UpstreamError::Missing {
            reason: "there is no group of its id".into(),
        };
        self.learned.existence = Some(Existence::Absent);
        self.learned.group_refused = Some(refusal(self.upstream.capabilities(), act, &missing));
        self.nothing_sent(Pause::None)
    }

    /// What people call it, where that is known.
    pub(super) fn title(&self) -> String {
        let title = match &self.work.naming {
            Naming::Given(given) => given.made_as.as_ref().unwrap_or(&given.title),
            Naming::Rule => &self.work.name,
        };
        title.clone()
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self.work.naming, Naming::Given(_))
    }
}
