//! Operators in a simulated world: they stop all writes or those of one connection
//! by the kill switch's file and let them go on, approve and reject what the guard
//! rails hold, and see to a second connection, which nothing of the first one is to
//! reach. Clients read back what they were told. What is right is judged in `judge`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Application, CONNECTION, Kind, LATE, Lie, OWN_NAME, World, account,
    application::Attempt,
    below, chance,
    clients::done,
    history,
    history::{Act, End, Entry},
    lock, named, now, pick,
};
use crate::{
    bridge::{
        Bridge, Declined, Failure, Guard, Limit, Operator, Protected, Session, Switch,
        switch::{self, FLAG},
    },
    scim::resource::{Attributes, ResourceType},
    store::{Request, Store, audit::AuditRow},
    upstream::Millis,
};

mod audit;
mod judge;
mod tampered;

/// The connection beside the one whose world it is.
pub(super) const OTHER: &str = "other";

/// What is done to a world so that the judge has something to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// The bridge looks at no switch.
    Deaf,
    /// It has no guard rails.
    Unguarded,
}

/// What an operator does next.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Pause(Option<&'static str>),
    Resume(Option<&'static str>),
    Approve,
    Reject,
    /// Makes a user by the other connection, and looks at the status.
    Probe,
}

/// A time in which writes were stopped, as the file had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    since: Millis,
    until: Millis,
}

impl Stop {
    fn overlaps(self, since: Millis, until: Millis) -> bool {
        self.since <= until && self.until >= since
    }
}

/// What a GET showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    at: Millis,
    /// Of the resource that was just written: the version that the answer named and
    /// the one that is shown.
    versions: Option<(u64, u64)>,
    shown: Saw,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Saw {
    /// Active, if it is there.
    User(String, Option<bool>),
    /// Its id, and its members.
    Group(String, String, Option<BTreeSet<String>>),
}

/// Whether the status told that each of the two connections is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    at: Millis,
    paused: [bool; 2],
}

/// A user made by the other connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    start: Millis,
    end: Millis,
    pending: bool,
}

/// From one start of the bridge to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Life {
    began: Millis,
    rows: Vec<AuditRow>,
    attempts: Vec<Attempt>,
}

/// What happened, for the judge.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    guard: Option<Guard>,
    stops: Vec<Stop>,
    others_stops: Vec<Stop>,
    reads: Vec<Read>,
    probes: Vec<Probe>,
    told: Vec<Told>,
    lives: Vec<Life>,
    /// Every id there ever was, and whose.
    names: BTreeMap<String, String>,
    /// What an operator's word did that it should not.
    wrong: Vec<String>,
    /// Calls of the other connection.
    others: Vec<Attempt>,
}

pub(super) struct Operators {
    file: PathBuf,
    flaw: Flaw,
    guard: Guard,
    pub(super) other: Arc<Application>,
    deeds: Mutex<std::vec::IntoIter<(u64, Deed)>>,
    seen: Mutex<Seen>,
}

/// Rails so narrow that a world of a few users comes to them.
fn rails(accounts: &[String], groups: &[String]) -> Guard {
    if chance(30) {
        return Guard::off();
    }
    let within = Duration::from_secs(*pick(&[20, 3_600]));
    let limit = |more_than| Limit {
        more_than,
        percent: 20,
        within,
    };
    let some = |names: &[String], percent| -> Vec<String> {
        let first = names.iter().take(1).cloned();
        first.filter(|_| chance(percent)).collect()
    };
    let (users, listed) = (some(accounts, 40), some(groups, 40));
    let least = chance(40).then_some((groups[1].as_str(), 1 + below(2)));
    Guard {
        enabled: chance(80),
        group_removals: limit(1 + below(2)),
        removals: limit(3 + below(5)),
        empty_from: 2 + below(3),
        protected: Protected::named(&users, &listed, least),
        ..Guard::off()
    }
}

fn deeds() -> Vec<(u64, Deed)> {
    let whom = || *pick(&[None, Some(CONNECTION), Some(CONNECTION), Some(OTHER)]);
    let deed = || match below(14) {
        0..3 => Deed::Pause(whom()),
        3..5 => Deed::Resume(whom()),
        5 => Deed::Resume(None),
        6..9 => Deed::Approve,
        9..11 => Deed::Reject,
        _ => Deed::Probe,
    };
    let count = 6 + below(12);
    (0..count)
        .map(|_| (*pick(&[0, 200, 1_000, 3_000, 6_000, 6_000, 40_000]), deed()))
        .collect()
}

impl Operators {
    /// As the seed of this thread has it.
    pub(super) fn new(
        store: &Path,
        flaw: Flaw,
        (accounts, groups): (&[String], &[String]),
    ) -> Self {
        let guard = rails(accounts, groups);
        let late_by = Millis::try_from(LATE.as_millis()).unwrap();
        let other = Application::new((Lie::Harmless, Kind::Ends), accounts, groups, late_by);
        let mut file = store.as_os_str().to_owned();
        file.push(".");
        file.push(FLAG);
        Self {
            file: file.into(),
            flaw,
            other: Arc::new(other),
            deeds: Mutex::new(deeds().into_iter()),
            seen: Mutex::new(Seen {
                guard: Some(guard.clone()).filter(|guard| !guard.is_idle()),
                ..Seen::default()
            }),
            guard,
        }
    }

    pub(super) fn guard_at_work(&self) -> Guard {
        match self.flaw {
            Flaw::Unguarded => Guard::off(),
            _ => self.guard.clone(),
        }
    }

    pub(super) fn switch(&self) -> Switch {
        match self.flaw {
            Flaw::Deaf => Switch::none(),
            _ => Switch::at(self.file.clone()),
        }
    }

    pub(super) fn know(&self, id: &str, name: &str) {
        lock(&self.seen)
            .names
            .insert(id.to_owned(), name.to_owned());
    }

    pub(super) fn name_of(&self, id: &str) -> Option<String> {
        lock(&self.seen).names.get(id).cloned()
    }

    /// The bridge sees it some time after the file says so.
    pub(super) fn is_stopped_within(&self, since: Millis, until: Millis) -> bool {
        let seen = lock(&self.seen);
        let mut stops = seen.stops.iter();
        stops.any(|stop| stop.overlaps(since - judge::SEEN, until))
    }

    /// What was recorded up to now is of the life before.
    pub(super) async fn begin_life(&self, store: &dyn Store, app: &Application) {
        self.note_life(store, app).await;
        lock(&self.seen).lives.push(Life {
            began: now(),
            ..Life::default()
        });
    }

    async fn note_life(&self, store: &dyn Store, app: &Application) {
        let known = {
            let seen = lock(&self.seen);
            let mut rows = seen.lives.iter().flat_map(|life| &life.rows);
            rows.next_back().map_or(0, |row| row.number)
        };
        let rows = store.audit(known, 1_000_000).await.unwrap();
        let mut seen = lock(&self.seen);
        let before: usize = seen.lives.iter().map(|life| life.attempts.len()).sum();
        if let Some(life) = seen.lives.last_mut() {
            life.rows.extend(rows);
            life.attempts.extend(app.attempts().split_off(before));
        }
    }

    pub(super) async fn seen(&self, store: &dyn Store, app: &Application) -> Seen {
        self.note_life(store, app).await;
        Seen {
            others: self.other.attempts(),
            ..lock(&self.seen).clone()
        }
    }

    fn turn(&self, stop: bool, whom: Option<&str>) {
        let turned = if stop {
            switch::pause(&self.file, whom, "anna says so").map(drop)
        } else {
            switch::resume(&self.file, whom, "anna").map(drop)
        };
        // One connection goes on only where not all are stopped.
        let refused = turned.is_err();
        let is = switch::read(&self.file);
        let seen = &mut *lock(&self.seen);
        if refused && (stop || !is.everything) {
            seen.wrong.push("the switch cannot be turned".into());
        }
        note_stop(&mut seen.stops, is.stops(CONNECTION));
        note_stop(&mut seen.others_stops, is.stops(OTHER));
    }

    async fn decide(&self, world: &World, operator: &Operator, approve: bool) {
        let holds = operator.holds(true).await.unwrap();
        if holds.is_empty() {
            return;
        }
        let id = pick(&holds).1.id.to_string();
        let held = operator.hold(&id).await.unwrap();
        if chance(50)
            && let Err(error) = operator.rehearse(&id).await
            && !matches!(
                error,
                Declined::Failed(Failure::Problem(_) | Failure::Stopped(_))
            )
        {
            self.is_wrong(format!("a held request cannot be rehearsed: {error}"));
        }
        let act = world.act_of(&*operator.bridge.store, &held.request).await;
        if approve {
            let deletes = matches!(act, Some(Act::DeleteGroup(_) | Act::DeleteUser(_)));
            let place = act.map(|act| world.begin(act));
            let ended = match operator.approve(&id).await {
                Ok(approved) => match approved.written {
                    Some(written) if !deletes => done(&written),
                    written => End::Done {
                        version: None,
                        pending: written.is_none_or(|it| it.pending),
                    },
                },
                Err(Declined::Failed(failure)) => {
                    let names = lock(&self.seen).names.clone();
                    let known: Vec<_> = names.into_iter().map(|(id, name)| (name, id)).collect();
                    history::refused(&failure, &known)
                }
                Err(other) => {
                    self.is_wrong(format!("an open hold cannot be approved: {other}"));
                    End::Refused
                }
            };
            if let Some(place) = place {
                world.end_of(place, ended);
            }
        } else if let Err(error) = operator.reject(&id).await {
            self.is_wrong(format!("an open hold cannot be rejected: {error}"));
        }
        self.decide_again(operator, &id).await;
    }

    /// What was decided is decided; what was approved in vain waits on.
    async fn decide_again(&self, operator: &Operator, id: &str) {
        let state = operator.hold(id).await.unwrap().hold.state;
        if state == crate::bridge::HoldState::Open {
            return;
        }
        let again = [
            operator.approve(id).await.err(),
            operator.reject(id).await.err(),
        ];
        if again.iter().any(|it| *it != Some(Declined::Decided(state))) {
            self.is_wrong(format!("a hold is decided twice: {again:?}"));
        }
    }

    fn is_wrong(&self, what: String) {
        lock(&self.seen).wrong.push(what);
    }

    async fn probe(&self, operator: &Operator, session: &Session) {
        let status = operator.status().await.unwrap();
        let paused = [CONNECTION, OTHER].map(|name| {
            let mut all = status.connections.iter();
            all.any(|it| it.name == name && it.paused)
        });
        lock(&self.seen).told.push(Told { at: now(), paused });
        let (start, name) = {
            let seen = lock(&self.seen);
            (
                now(),
                format!("probe{}-{}", seen.lives.len(), seen.probes.len()),
            )
        };
        match session.create_user(account(&name)).await {
            Ok(written) => lock(&self.seen).probes.push(Probe {
                start,
                end: now(),
                pending: written.pending,
            }),
            Err(failure) => self.is_wrong(format!("the other connection says {failure}")),
        }
    }
}

fn note_stop(stops: &mut Vec<Stop>, is_stopped: bool) {
    match stops.last_mut().filter(|last| last.until == Millis::MAX) {
        Some(last) if !is_stopped => last.until = now(),
        None if is_stopped => stops.push(Stop {
            since: now(),
            until: Millis::MAX,
        }),
        _ => {}
    }
}

/// Does what operators do, and lets everything go on in the end.
pub(super) async fn work(world: Arc<World>, bridge: Arc<Bridge>) {
    let Some(operators) = &world.operators else {
        return;
    };
    let operator = bridge.own_operator("anna");
    let session = bridge.own_session(OTHER, "client").unwrap();
    loop {
        let next = lock(&operators.deeds).next();
        let Some((wait, deed)) = next else { break };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if std::env::var_os("WORLD").is_some() {
            println!("{} {deed:?}", now());
        }
        match deed {
            Deed::Pause(whom) => operators.turn(true, whom),
            Deed::Resume(whom) => operators.turn(false, whom),
            Deed::Approve => operators.decide(&world, &operator, true).await,
            Deed::Reject => operators.decide(&world, &operator, false).await,
            Deed::Probe => operators.probe(&operator, &session).await,
        }
    }
    operators.turn(false, None);
}

impl World {
    fn begin(&self, act: Act) -> usize {
        let mut history = lock(&self.history);
        history.push(Entry {
            act,
            start: now(),
            end: Millis::MAX,
            ended: End::Unheard,
            approved: true,
        });
        history.len() - 1
    }

    fn end_of(&self, place: usize, ended: End) {
        let entry = &mut lock(&self.history)[place];
        (entry.end, entry.ended) = (now(), ended);
    }

    /// What a held request does to those who are there now; nothing where its
    /// resource is not.
    async fn act_of(&self, store: &dyn Store, request: &Request) -> Option<Act> {
        let users = named(store, CONNECTION, ResourceType::User, "userName").await;
        let groups = named(store, CONNECTION, ResourceType::Group, OWN_NAME).await;
        let by_id = |known: &BTreeMap<String, String>, id: &str| {
            let found = known.iter().find(|(_, held)| *held == id);
            found.map(|(name, _)| name.clone())
        };
        let id = request.id.to_string();
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
        let operation = &body["Operations"][0];
        let members = |value: &serde_json::Value| -> BTreeSet<String> {
            let listed = value.as_array().into_iter().flatten();
            let ids = listed.filter_map(|it| it["value"].as_str());
            ids.filter_map(|id| by_id(&users, id)).collect()
        };
        if request.of == ResourceType::User {
            let user = by_id(&users, &id)?;
            return Some(match request.method.as_str() {
                "DELETE" => Act::DeleteUser(user),
                _ => Act::Activate(user, operation["value"] == true),
            });
        }
        let group = by_id(&groups, &id)?;
        let set = members(&operation["value"]);
        Some(match (request.method.as_str(), operation["op"].as_str()) {
            ("DELETE", _) => Act::DeleteGroup(group),
            ("PUT", _) => Act::Put(group, members(&body["members"])),
            (_, Some("remove")) => Act::Remove(group, set),
            (_, Some("replace")) => Act::Replace(group, set),
            (_, other) => panic!("{other:?} is held"),
        })
    }

    /// A GET of what a client was just answered about.
    pub(super) async fn read_back(&self, session: &Session, act: &Act, ended: &End) {
        // Later than what it was told.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (of, known, name) = match (act.group(), act.user()) {
            (Some(group), _) => (ResourceType::Group, &self.groups, group),
            (None, Some(user)) => (ResourceType::User, &self.users, user),
            _ => return,
        };
        let Some(id) = lock(known).get(name).cloned() else {
            return;
        };
        let read = session.read(of, &id).await.ok();
        let version = match ended {
            End::Done {
                version: Some((of, version)),
                ..
            } if *of == id => Some(*version),
            _ => None,
        };
        let is = read.as_ref().map(|it| it.meta.version);
        let shown = match (&read, of) {
            (read, ResourceType::User) => {
                let active = read.as_ref().map(|it| {
                    let parsed: Attributes = serde_json::from_str(&it.attributes).unwrap();
                    parsed.active()
                });
                Saw::User(name.clone(), active)
            }
            (read, ResourceType::Group) => {
                let mut members = None;
                if let Some(read) = read {
                    let listed = session.members(read.id).await.unwrap();
                    let operators = self.operators.as_ref().unwrap();
                    let names = &lock(&operators.seen).names;
                    let ids = listed.ids.iter().map(ToString::to_string);
                    // Whoever is not known yet was made this moment by another client.
                    members = Some(ids.filter_map(|id| names.get(&id).cloned()).collect());
                }
                Saw::Group(name.clone(), id, members)
            }
        };
        let operators = self.operators.as_ref().unwrap();
        lock(&operators.seen).reads.push(Read {
            at: now(),
            versions: version.zip(is),
            shown,
        });
    }
}
