//! The application contract over a real wire: every operation, every outcome
//! class and every switch, with the call log as the witness.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use uuid::Uuid;

use super::{Application, Call, Company, Employee, Faults, Simulator, State, Team};
use crate::{
    plan::{
        operation::Operation,
        state::{Principal, UserKey},
    },
    scim::resource::ResourceId,
    upstream::{
        MemberOutcome, Outcome, Upstream, UpstreamError,
        opsera::{self, Settings, settings::TokenSource},
    },
};

mod contract;
mod contracts;
mod failures;
mod hydden;
mod operations;
mod snyk;
mod switches;

const TOKEN: &str = "the-simulated-token";

/// A simulator whose calls are judged by its contract when they are forgotten,
/// at the latest at its end.
struct Judged {
    simulator: Simulator,
    contract: contract::Contract,
}

impl Judged {
    fn start(application: Application, company: &Company) -> Self {
        let kind = match application {
            Application::Opsera => "opsera",
            Application::Hydden => "hydden",
            Application::Snyk => "snyk",
        };
        Self {
            simulator: Simulator::start(application, anywhere(), TOKEN, company).unwrap(),
            contract: contract::Contract::of(kind),
        }
    }

    #[track_caller]
    fn judge(&self) {
        let wrong = self.contract.judge_all(&self.simulator.calls());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[track_caller]
    fn forget_calls(&self) {
        self.judge();
        self.simulator.forget_calls();
    }

    /// Forgets calls that were no operation of the application on purpose, or wrong
    /// and answered 400 for it, and nothing else that is wrong.
    #[track_caller]
    fn overlook_strange_calls(&self) {
        let calls = self.simulator.calls();
        let (refused, others): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|it| it.status == Some(400));
        let mut wrong = self.contract.judge_all(&others);
        let strange = |it: &String| it.ends_with("is no operation");
        assert!(wrong.iter().all(strange), "{wrong:#?}");
        wrong.extend(self.contract.judge_all(&refused));
        assert!(!wrong.is_empty());
        self.simulator.forget_calls();
    }
}

impl std::ops::Deref for Judged {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.judge();
        }
    }
}

/// A simulator and a connection to it.
struct Bench {
    simulator: Judged,
    upstream: Arc<dyn Upstream>,
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Settings that hold no test up.
fn settings(url: String) -> Settings {
    Settings {
        base_url: url,
        token: TokenSource::Literal(TOKEN.to_owned().into()),
        requests_per_second: 10_000,
        burst: 10_000,
        ..Settings::default()
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let simulator = Judged::start(Application::Opsera, &small_company());
        let mut settings = settings(simulator.url());
        change(&mut settings);
        let upstream = opsera::open(settings).unwrap();
        Self {
            simulator,
            upstream,
        }
    }

    async fn apply(&self, operation: Operation) -> Result<Outcome, UpstreamError> {
        self.upstream.apply(&operation).await
    }

    async fn add(&self, names: &[&str]) -> Result<Outcome, UpstreamError> {
        let members = self.principals(names);
        let group = "crew".into();
        self.apply(Operation::AddMembers { group, members }).await
    }

    async fn remove(&self, names: &[&str]) -> Result<Outcome, UpstreamError> {
        let members = self.principals(names);
        let group = "crew".into();
        self.apply(Operation::RemoveMembers { group, members })
            .await
    }

    async fn replace(&self, names: &[&str]) -> Result<Outcome, UpstreamError> {
        let members = self.principals(names);
        let group = "crew".into();
        self.apply(Operation::ReplaceMembers { group, members })
            .await
    }

    /// With ids where the simulator has them.
    fn principals(&self, names: &[&str]) -> Vec<Principal> {
        let state = self.simulator.state();
        let ided = |mut principal: Principal| {
            let user = state.user(&principal.account);
            principal.upstream_id = user.map(|user| user.id.clone());
            principal
        };
        by_email(names).into_iter().map(ided).collect()
    }

    fn calls(&self) -> Vec<Call> {
        self.simulator.calls()
    }

    fn called(&self) -> Vec<String> {
        self.calls()
            .into_iter()
            .map(|call| call.operation)
            .collect()
    }

    fn state(&self) -> State {
        self.simulator.state()
    }

    /// The local parts of the members of `crew`.
    fn crew(&self) -> Vec<String> {
        let state = self.state();
        let members = &state.group("crew").unwrap().members;
        let local = |email: &String| email.split('@').next().unwrap().to_owned();
        members.iter().map(local).collect()
    }

    fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = Faults::default();
        change(&mut faults);
        self.simulator.faults(faults);
    }
}

fn email(name: &str) -> String {
    format!("{name}@example.com")
}

/// Without ids.
fn by_email(names: &[&str]) -> Vec<Principal> {
    names
        .iter()
        .zip(1..)
        .map(|(name, n)| Principal {
            user: UserKey(n),
            id: ResourceId::new(Uuid::from_u128(7)),
            account: email(name),
            upstream_id: None,
            counts: None,
            given_up: Vec::new(),
            elsewhere: Vec::new(),
            keeps: Vec::new(),
            families: Vec::new(),
            twins: Vec::new(),
            has: false,
            holding: None,
            fallback: None,
        })
        .collect()
}

fn outcomes(outcome: &Outcome) -> Vec<MemberOutcome> {
    outcome.members.iter().map(|(_, it)| it.clone()).collect()
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Ann, Ben, Cat and Dan; Ann and Ben are the crew; Dan owns something; Eve
/// has left.
fn small_company() -> Company {
    let user = |name: &str| Employee {
        email: email(name),
        first_name: name.into(),
        last_name: "Tester".into(),
        person: name == "ann",
        owner: name == "dan",
        active: name != "eve",
        ..Employee::default()
    };
    let team = |name: &str, members: &[&str]| Team {
        name: name.into(),
        members: members.iter().map(|name| email(name)).collect(),
        ..Team::default()
    };
    Company {
        users: ["ann", "ben", "cat", "dan", "eve"].map(user).to_vec(),
        groups: vec![
            team("crew", &["ann", "ben"]),
            Team {
                synced: true,
                ..team("mirror", &["ann"])
            },
            Team {
                kind: "role".into(),
                ..team("approvers", &["ben"])
            },
            team("Old Name", &["cat", "eve"]),
        ],
    }
}
