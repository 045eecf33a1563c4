//! The rows about a first sync: so many users and twenty groups (of Snyk three
//! roles, where everybody has the default role before), each user in one of them, into an empty application (or, where nothing can be written, out
//! of a full one), at the limit that the application documents or that is the
//! default. How long it takes, how many calls, and how much of the limit is used.
//!
//! They take as long as the limits say (Opsera's 5,000 users at ten calls a
//! second eight minutes), so they are measured only where `--only` asks for them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    bench::Bench,
    bodies::{self, Caller},
    load::{self, Until},
    process::{Process, Start},
    table::{Row, number},
    world::{UPSTREAM_TOKEN, UserMaker, exchange, make_token, program, serve, socket, write},
};

const GROUPS: usize = 20;
/// The groups of Snyk.
const ROLES: usize = 3;
const CONNECTIONS: usize = 32;
/// Between two looks at whether everything has arrived.
const LOOK: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(1_800);

/// An application and what is known of it.
struct Target {
    kind: &'static str,
    /// Calls in so many seconds.
    limit: (usize, u64),
    /// What follows the host in its address.
    path: &'static str,
    /// Its own lines of the configuration.
    settings: &'static str,
    groups: usize,
    /// What is there before, for the simulator.
    company: fn(usize) -> Value,
    /// The calls without which it cannot be done.
    least: fn(usize) -> usize,
    /// How many calls more than those may be made.
    over: f64,
    sends: Sends,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sends {
    /// Everybody and every group.
    All,
    /// Members for the groups that are there, of users that are known there.
    Members,
    /// Nothing: it is only read.
    Nothing,
}

const TARGETS: [Target; 3] = [
    Target {
        kind: "opsera",
        limit: (10, 1),
        path: "",
        settings: "",
        groups: GROUPS,
        company: |_| json!({ "users": [], "groups": [] }),
        // An account each, a group each with its members in the same call.
        least: |users| users + GROUPS,
        over: 1.0,
        sends: Sends::All,
    },
    Target {
        kind: "snyk",
        limit: (1_620, 60),
        path: "/rest",
        settings: "sso = \"link\"\nprecedence = [\"role-0\", \"role-1\", \"role-2\", \"group_member\"]",
        groups: ROLES,
        // One Snyk Group with three roles, each of which somebody has, and somebody who
        // administers; everybody else has signed in and has the role that Snyk gives then.
        company: |users| {
            let holder = |group: usize| format!("holder{group}@example.com");
            let signed_in: Vec<String> = (0..users).map(bodies::user_name).collect();
            let emails = signed_in.iter().cloned().chain((0..=ROLES).map(holder));
            let team = |role: String, members: Vec<String>| json!({ "name": "Company", "type": role, "members": members });
            let mut teams: Vec<Value> = (0..ROLES)
                .map(|group| team(format!("role-{group}"), vec![holder(group)]))
                .collect();
            teams.push(team("group_admin".into(), vec![holder(ROLES)]));
            teams.push(team("group_member".into(), signed_in.clone()));
            json!({
                "users": emails.map(|email| json!({ "email": email })).collect::<Vec<_>>(),
                "groups": teams,
            })
        },
        // A change of a membership each; groups, memberships, SSO connections and SSO
        // users in pages of a hundred.
        least: |users| users + 2 + 2 * (users + ROLES + 1).div_ceil(100),
        over: 1.05,
        sends: Sends::Members,
    },
    Target {
        kind: "hydden",
        limit: (10, 1),
        path: "",
        settings: "",
        groups: GROUPS,
        company: |users| {
            let address = bodies::user_name;
            let person = |user| json!({ "email": address(user) });
            let team = |group: usize| {
                let members: Vec<String> = of_group(group, GROUPS, users).map(address).collect();
                json!({ "name": format!("Group {group}"), "members": members })
            };
            json!({
                "users": (0..users).map(person).collect::<Vec<_>>(),
                "groups": (0..GROUPS).map(team).collect::<Vec<_>>(),
            })
        },
        // Pages of fifty accounts, one page of groups, the members of each.
        least: |users| users.div_ceil(50) + 1 + GROUPS,
        over: 1.0,
        sends: Sends::Nothing,
    },
];

fn of_group(group: usize, groups: usize, users: usize) -> impl Iterator<Item = usize> {
    (group..users).step_by(groups)
}

pub(super) async fn syncs(bench: &mut Bench) -> Result<(), String> {
    for target in TARGETS {
        let users = bench.sizes.synced;
        let name = format!(
            "first sync, {users} users and {} groups, {}",
            target.groups, target.kind
        );
        if bench.wants_by_name(&name) {
            let row = sync(&target, users, Row::new(name)).await?;
            bench.push(row);
        }
    }
    Ok(())
}

async fn sync(target: &Target, users: usize, row: Row) -> Result<Row, String> {
    let place = Place::start(target, users)?;
    let began = Instant::now();
    match target.sends {
        Sends::All => place.send(users).await?,
        Sends::Members => {
            place.until_done(users, 0).await?;
            place.send_members(users, target.groups).await?;
        }
        Sends::Nothing => {}
    }
    place.until_done(users, users).await?;
    let took = began.elapsed();
    let calls = place.calls().await?;
    let least = (target.least)(users);
    let refused = calls.iter().filter(|call| call["outcome"] == "over_limit");
    let refused = refused.count();
    let span = time_of(&calls)?;
    let (limit, seconds) = target.limit;
    let allowed = number(limit) * span.as_secs_f64() / Duration::from_secs(seconds).as_secs_f64();
    let (share, ratio) = (
        number(calls.len()) / allowed,
        number(calls.len()) / number(least),
    );
    Ok(row
        .note(format!("{:.0} s until all had arrived", took.as_secs_f64()))
        .goal(
            format!(
                "{} calls, {ratio:.3} times the least ({least})",
                calls.len()
            ),
            &format!("<= {:.2}", target.over),
            ratio <= target.over + 0.005,
        )
        .goal(
            format!("{refused} calls were one too many"),
            "0",
            refused == 0,
        )
        .goal(
            format!("{:.1} % of {limit} calls in {seconds} s", share * 100.0),
            ">= 95 %",
            share >= 0.95,
        ))
}

/// From the first call to the last.
fn time_of(calls: &[Value]) -> Result<Duration, String> {
    let at = |call: Option<&Value>| call.and_then(|call| call["started_ms"].as_u64());
    let (first, last) = (at(calls.first()), at(calls.last()));
    let span = last.zip(first).map(|(last, first)| last - first);
    span.map(Duration::from_millis)
        .ok_or_else(|| "no call was made".into())
}

/// An application and a bridge of their own.
struct Place {
    caller: Caller,
    bridge: SocketAddr,
    upstream: SocketAddr,
    folder: TempDir,
    _processes: [Process; 2],
}

impl Place {
    fn start(target: &Target, users: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let company = (target.company)(users).to_string();
        write(&folder.path().join("company.json"), &company)?;
        let simulate = [
            "simulate",
            target.kind,
            "--listen",
            "127.0.0.1:0",
            "--token",
            UPSTREAM_TOKEN,
            "--latency-ms",
            "20",
            "--company",
            "company.json",
        ];
        let (simulator, upstream) = Start {
            program: program(),
            arguments: &simulate,
            environment: &[],
            core: None,
            folder: folder.path(),
            log: "simulator.log",
            ready: "http://",
        }
        .run()?;
        let text = configuration(target, &upstream);
        write(&folder.path().join("drawbridge.toml"), &text)?;
        write(&folder.path().join("upstream.token"), UPSTREAM_TOKEN)?;
        let token = make_token(folder.path(), "acme")?;
        let (bridge, host) = serve(folder.path(), false, 0)?;
        Ok(Self {
            bridge: socket(&host)?,
            upstream: socket(&upstream)?,
            caller: Caller {
                host,
                base: "/acme/scim/v2".into(),
                token,
            },
            folder,
            _processes: [simulator, bridge],
        })
    }

    /// As an identity provider does: everybody, then the groups with their members.
    async fn send(&self, users: usize) -> Result<(), String> {
        let makers = UserMaker::new(self.caller.clone(), 0, users);
        let until = Until::requests(users as u64);
        load::run(self.bridge, CONNECTIONS, until, Arc::clone(&makers) as _).await?;
        let ids = makers.ids()?;
        for group in 0..GROUPS {
            let members: Vec<String> = of_group(group, GROUPS, users)
                .map(|it| ids[it].clone())
                .collect();
            let body = bodies::group(&format!("group-{group}"), &members);
            self.ask(&self.caller, self.bridge, "POST", "/Groups", &body)
                .await?;
        }
        Ok(())
    }

    async fn ask(
        &self,
        caller: &Caller,
        address: SocketAddr,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Value, String> {
        let mut request = Vec::new();
        caller.write(&mut request, method, path, body);
        exchange(address, &request).await
    }

    /// As an identity provider does that finds everybody and all groups there.
    async fn send_members(&self, users: usize, groups: usize) -> Result<(), String> {
        let known = self.ids("/Users", "userName", users + groups + 1).await?;
        // Two more are the role that everybody has and that of who administers.
        let shown = self.ids("/Groups", "displayName", groups + 2).await?;
        let asked = shown.iter().filter(|(name, _)| name.contains("role-"));
        for (number, (_, group)) in asked.enumerate() {
            let members: Option<Vec<String>> = of_group(number, groups, users)
                .map(|it| known.get(&bodies::user_name(it)).cloned())
                .collect();
            let body = bodies::add(&members.ok_or("a user is not shown")?);
            let path = format!("/Groups/{group}");
            self.ask(&self.caller, self.bridge, "PATCH", &path, &body)
                .await?;
        }
        Ok(())
    }

    /// The ids of all resources of a kind, by their names.
    async fn ids(
        &self,
        kind: &str,
        name: &str,
        count: usize,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut ids = BTreeMap::new();
        while ids.len() < count {
            let path = format!(
                "{kind}?attributes={name}&count=500&startIndex={}",
                ids.len() + 1
            );
            let page = self
                .ask(&self.caller, self.bridge, "GET", &path, "")
                .await?;
            let before = ids.len();
            for one in page["Resources"].as_array().into_iter().flatten() {
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                ids.insert(text(name), text("id"));
            }
            if ids.len() == before {
                return Err(format!("{kind} shows {before} of {count}"));
            }
        }
        Ok(ids)
    }

    /// So many users and members are here, and nothing waits for the application.
    async fn until_done(&self, users: usize, members: usize) -> Result<(), String> {
        let end = Instant::now() + LONGEST;
        loop {
            let now = self.status().await?;
            let now = &now["connections"][0];
            let waits = |what: &str| now["pending"][what].as_u64().unwrap_or(u64::MAX);
            let here = now["users"].as_u64() >= Some(users as u64)
                && now["memberships"].as_u64() >= Some(members as u64);
            let open = waits("users") + waits("groups") + waits("memberships");
            if here && open == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("the sync did not end: {now}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn status(&self) -> Result<Value, String> {
        let file = self.folder.path().join("bridge.db.operator");
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let access: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let text = |key: &str| access[key].as_str().unwrap_or_default().to_owned();
        let host = text("url").trim_start_matches("http://").to_owned();
        let operator = Caller {
            host: host.clone(),
            base: String::new(),
            token: text("token"),
        };
        self.ask(&operator, socket(&host)?, "GET", "/status", "")
            .await
    }

    async fn calls(&self) -> Result<Vec<Value>, String> {
        let simulator = Caller {
            host: self.upstream.to_string(),
            base: "/_simulator".into(),
            token: String::new(),
        };
        let mut calls: Vec<Value> = Vec::new();
        loop {
            let last = calls
                .last()
                .map_or(0, |call| call["sequence"].as_u64().unwrap_or(0));
            let path = format!("/calls?since={last}");
            let page = self
                .ask(&simulator, self.upstream, "GET", &path, "")
                .await?;
            match page.as_array() {
                Some(page) if !page.is_empty() => calls.extend(page.iter().cloned()),
                Some(_) => return Ok(calls),
                None => return Err("the call log is no list".into()),
            }
        }
    }
}

fn configuration(target: &Target, upstream: &str) -> String {
    let import = match target.sends {
        Sends::All => "never",
        Sends::Members | Sends::Nothing => "start",
    };
    format!(
        r#"listen = "127.0.0.1:0"

[store]
url = "sqlite://bridge.db"

[[connection]]
name = "acme"
tokens = {{ file = "acme.tokens" }}
import = "{import}"
reconcile = "never"
sync_wait = "100ms"
request_budget = 1000000
guard = {{ enabled = false }}

[connection.upstream]
kind = "{}"
base_url = "http://{upstream}{}"
token = {{ file = "upstream.token" }}
{}
"#,
        target.kind, target.path, target.settings
    )
}
