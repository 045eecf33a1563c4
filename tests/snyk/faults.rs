//! Snyk under every fault: calls that land after their opposite, changes of
//! roles whose answers are lost, and a bridge that is killed in the middle. In
//! the end each user has the role that counts of those that SCIM shows.

use tokio::{sync::watch, task::block_in_place};

use super::*;
use crate::crash::dice::Dice;

const LATE: &str = "sync_wait = \"1s\"\nlate_writes = \"4s\"";

fn late(operation: &str) -> Value {
    json!({ "rules": [
        { "failure": { "late": { "after_ms": 3000 } }, "operation": operation, "next": 1 },
    ] })
}

async fn has(world: &World, name: &str, role: Option<&str>) {
    let expected = role.map(just).unwrap_or_default();
    eventually(&format!("{name} has {role:?}"), async || {
        roles(world, name).await == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_lands_after_its_removal_is_taken_away_again() {
    let world = snyk_with(LATE, LINK).await;
    let (viewer, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    world.faults(late("create_membership")).await;
    add(&world, &viewer, &ann).await.expect(204);
    remove(&world, &viewer, &ann).await.expect(204);
    has(&world, "ann", Some(VIEWER)).await;
    has(&world, "ann", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_lands_after_its_addition_is_made_good() {
    // It is asked for again before the removal is said again.
    let world = snyk_with(&LATE.replace("1s", "50ms"), LINK).await;
    let (viewer, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    add(&world, &viewer, &ann).await.expect(204);
    world.faults(late("delete_membership")).await;
    remove(&world, &viewer, &ann).await.expect(204);
    add(&world, &viewer, &ann).await.expect(204);
    has(&world, "ann", None).await;
    has(&world, "ann", Some(VIEWER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_lands_after_it_was_taken_away_is_taken_away_again() {
    let world = snyk_with(LATE, LINK).await;
    let (admin, viewer) = (role(&world, ADMIN).await, role(&world, VIEWER).await);
    let ann = id_of_user(&world, "ann").await;
    add(&world, &viewer, &ann).await.expect(204);
    world.faults(late("update_membership")).await;
    add(&world, &admin, &ann).await.expect(204);
    remove(&world, &admin, &ann).await.expect(204);
    has(&world, "ann", Some(ADMIN)).await;
    has(&world, "ann", Some(VIEWER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_that_lands_after_the_withdrawal_is_withdrawn_again() {
    let world = snyk_with(LATE, LINK).await;
    let (viewer, ann) = (role(&world, VIEWER).await, id_of_user(&world, "ann").await);
    world.faults(late("create_membership")).await;
    add(&world, &viewer, &ann).await.expect(204);
    activate(&world, &ann, false).await.expect(200);
    has(&world, "ann", Some(VIEWER)).await;
    has(&world, "ann", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_whom_a_connection_took_away_that_is_gone_is_none_who_stays() {
    let lags = "sync_wait = \"300ms\"\nlate_writes = \"5s\"\nread_lag = \"1s\"";
    let mut world = snyk_with(lags, LINK).await;
    let (admin, ann) = (role(&world, ADMIN).await, id_of_user(&world, "ann").await);
    add(&world, &admin, &ann).await.expect(204);
    let late = json!({ "late": { "after_ms": 4000 } });
    let rule = json!({ "failure": late, "operation": "delete_membership" });
    world.faults(json!({ "rules": [rule] })).await;
    remove(&world, &admin, &ann).await.expect(204);
    eventually("it is under way", async || {
        writes(&world.calls().await).contains(&"delete_membership")
    })
    .await;
    world.kill_bridge();
    world.faults(json!({ "rules": [] })).await;
    // Another connection is configured in its place.
    world.tamper("UPDATE connections SET name = 'gone' WHERE name = 'acme'");
    world.reconfigure(|text| text.replace("import = \"never\"", "import = \"start\""));
    world.start_bridge();
    let find = "/Groups?filter=displayName%20co%20%22group_admin%22";
    eventually("Snyk was read", async || {
        world.get(find).await.body["totalResults"] == 2
    })
    .await;
    let (admin, root) = (role(&world, ADMIN).await, id_of_user(&world, "root").await);
    remove(&world, &admin, &root).await.expect(204);
    has(&world, "ann", None).await;
    eventually("the answer is there", async || {
        world.status().await["connections"][0]["refusedMemberships"] != json!([])
    })
    .await;
    let left = roles(&world, "root").await;
    assert!(left.contains(&format!("Example/{ADMIN}")), "{left:?}");
}

fn every_fault() -> Value {
    let rule = |failure: Value, percent: u64| json!({ "failure": failure, "writes": true, "percent": percent });
    json!({ "latency_ms": 5, "rules": [
        rule(json!("error_before"), 4),
        rule(json!("error_after"), 4),
        rule(json!("reset_before"), 4),
        rule(json!("reset_after"), 4),
        rule(json!("truncated"), 3),
        rule(json!("wrong_types"), 3),
        rule(json!({ "late": { "after_ms": 700 } }), 4),
        rule(json!({ "status": { "status": 503 } }), 3),
        rule(json!({ "status": { "status": 429, "retry_after": "0" } }), 3),
        { "failure": "error_before", "percent": 3 },
    ] })
}

/// Ten users whom three groups are written for.
struct Crowd {
    world: World,
    names: Vec<String>,
    ids: Vec<String>,
    /// Paths, the first before all others.
    groups: [String; 3],
}

const ROLES: [&str; 3] = [ADMIN, VIEWER, MEMBER];

impl Crowd {
    async fn gather() -> Self {
        let mut world = World::of_own(
            Application::Snyk,
            "sync_wait = \"300ms\"\nlate_writes = \"3s\"",
            &format!("{LINK}\ntimeout = \"2s\""),
        )
        .await;
        let names: Vec<String> = (0..10).map(|n| format!("u{n}")).collect();
        let mut company = company();
        let users = company["users"].as_array_mut().unwrap();
        users.extend(names.iter().map(|name| json!({ "email": address(name) })));
        world.seed(company).await;
        world.import();
        let mut ids = Vec::new();
        for name in &names {
            ids.push(id_of_user(&world, name).await);
        }
        let groups = [
            role(&world, ADMIN).await,
            role(&world, VIEWER).await,
            role(&world, MEMBER).await,
        ];
        Self {
            world,
            names,
            ids,
            groups,
        }
    }

    /// Where Snyk is not as SCIM says now.
    async fn gaps(&self) -> Vec<String> {
        let mut shown = Vec::new();
        for path in &self.groups {
            let id = path.trim_start_matches("/Groups/");
            shown.push(self.world.members(id).await);
        }
        let mut found = Vec::new();
        for (name, id) in self.names.iter().zip(&self.ids) {
            let user = self.world.get(&format!("/Users/{id}")).await.expect(200);
            let active = user.body["active"] == true;
            let first = shown.iter().position(|members| members.contains(id));
            let counts = first.filter(|_| active).map(|place| ROLES[place]);
            let has = roles(&self.world, name).await;
            if has != counts.map(just).unwrap_or_default() {
                found.push(format!("{name}: {counts:?} counts, and there is {has:?}"));
            }
        }
        found
    }

    async fn is_silent(&self) -> bool {
        let status = self.world.status().await;
        let left = &status["connections"][0]["application"]["silentForSeconds"];
        left.as_u64().is_some_and(|seconds| seconds > 0)
    }

    /// Waits until Snyk is as SCIM says, and stays so.
    async fn quiesce(&self) {
        self.world.faults(json!({})).await;
        // A 429 that says nothing usable is a minute of silence, of which nothing
        // can be expected.
        let silent = Instant::now() + Duration::from_secs(90);
        while self.is_silent().await {
            assert!(Instant::now() < silent, "nobody asks for that any more");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let end = Instant::now() + Duration::from_secs(90);
        let mut calm = 0;
        loop {
            let gaps = self.gaps().await;
            calm = if gaps.is_empty() { calm + 1 } else { 0 };
            if calm > 10 {
                return;
            }
            assert!(Instant::now() < end, "{gaps:#?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// One user's worker, which writes down what it may find in the end.
struct Writer {
    client: reqwest::Client,
    token: String,
    id: String,
    groups: [String; 3],
    dice: Dice,
    /// Whether the user may be in each group, and may be out of it.
    may: [BTreeSet<bool>; 3],
}

impl Writer {
    async fn write(&mut self, base: &str) {
        let place = self.dice.below(3);
        let on = self.dice.below(2) == 0;
        let operation = if on {
            json!({ "op": "add", "path": "members", "value": [{ "value": self.id }] })
        } else {
            json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", self.id) })
        };
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        });
        let request = self
            .client
            .patch(format!("{base}{}", self.groups[place]))
            .bearer_auth(&self.token)
            .header("content-type", "application/scim+json")
            // Whoever gives up does not know what comes of it after the next one.
            .timeout(Duration::from_secs(120))
            .body(body.to_string());
        let answer = request.send().await;
        let done = answer.is_ok_and(|answer| answer.status() == 204);
        if done {
            self.may[place].clear();
        }
        self.may[place].insert(on);
        if !done {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn work(mut self, base: watch::Receiver<Option<String>>) -> Self {
        loop {
            let now = base.borrow().clone();
            let Some(now) = now else { return self };
            self.write(&now).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }
}

impl Crowd {
    fn writers(&self, dice: &mut Dice) -> Vec<Writer> {
        let writer = |id: &String| Writer {
            client: self.world.client.clone(),
            token: self.world.token.clone(),
            id: id.clone(),
            groups: self.groups.clone(),
            dice: Dice::new(u64::try_from(dice.below(usize::MAX)).unwrap()),
            may: [false; 3].map(|out| [out].into()),
        };
        self.ids.iter().map(writer).collect()
    }

    /// Nothing that was acknowledged is lost.
    async fn judge(&self, writers: Vec<Writer>) {
        for writer in writers {
            for (path, may) in self.groups.iter().zip(&writer.may) {
                let id = path.trim_start_matches("/Groups/");
                let shown = self.world.members(id).await.contains(&writer.id);
                assert!(may.contains(&shown), "{} in {path}: {shown}", writer.id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_the_calls_the_role_that_counts_is_there_in_the_end() {
    let crowd = Crowd::gather().await;
    let seed = Dice::seed();
    println!("seed {seed}");
    let mut writers = crowd.writers(&mut Dice::new(seed));
    crowd.world.faults(every_fault()).await;
    let base = crowd.world.base.clone();
    for round in 0..24 {
        let work = writers.iter_mut().map(|writer| writer.write(&base));
        futures_util::future::join_all(work).await;
        let (id, on) = (&crowd.ids[round % 10], round % 4 == 3);
        let active = json!([{ "op": "replace", "value": { "active": on } }]);
        crowd.world.patch(&format!("/Users/{id}"), active).await;
    }
    crowd.quiesce().await;
    crowd.judge(writers).await;
}

/// Ends the bridge a few times at any moment, and where there are points at
/// these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kills() {
    let mut crowd = Crowd::gather().await;
    let seed = Dice::seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let (tell, base) = watch::channel(Some(crowd.world.base.clone()));
    crowd.world.faults(every_fault()).await;
    let writers = crowd.writers(&mut dice);
    let working: Vec<_> = writers
        .into_iter()
        .map(|writer| tokio::spawn(writer.work(base.clone())))
        .collect();
    for kill in 0..kills() {
        let life = u64::try_from(dice.below(900)).unwrap();
        tokio::time::sleep(Duration::from_millis(life)).await;
        block_in_place(|| crowd.world.kill_and_restart());
        tell.send(Some(crowd.world.base.clone())).unwrap();
        #[cfg(debug_assertions)]
        {
            let point = POINTS[kill % POINTS.len()];
            let pass = 1 + dice.below(6);
            crowd.end_at(&format!("{point}:{pass}"), &tell).await;
        }
        #[cfg(not(debug_assertions))]
        let _ = kill;
    }
    tell.send(None).unwrap();
    let mut writers = Vec::new();
    for writer in working {
        writers.push(writer.await.unwrap());
    }
    crowd.quiesce().await;
    crowd.judge(writers).await;
}

fn kills() -> usize {
    let kills = std::env::var("DRAWBRIDGE_KILLS").ok();
    kills.map_or(6, |text| text.parse().expect("a number of kills"))
}

/// Around a call and what is remembered of it.
#[cfg(debug_assertions)]
const POINTS: [&str; 6] = [
    "call.before",
    "call.answered",
    "call.judged",
    "turn.one-sent",
    "group.committed",
    "user-turn.saved",
];

#[cfg(debug_assertions)]
impl Crowd {
    /// Lets it end by itself at a point, if it comes to that soon.
    async fn end_at(&mut self, point: &str, tell: &watch::Sender<Option<String>>) {
        if block_in_place(|| self.world.kill_and_restart_until(point)) {
            tell.send(Some(self.world.base.clone())).unwrap();
            let end = Instant::now() + Duration::from_secs(2);
            while self.world.bridge_ended().is_none() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        block_in_place(|| self.world.kill_and_restart());
        tell.send(Some(self.world.base.clone())).unwrap();
    }
}

#[tokio::test]
async fn a_list_that_is_shorter_than_it_says_is_thrown_away() {
    let own = format!("{LINK}\npage_size = 10");
    let mut world = World::of_own(Application::Snyk, "read_lag = \"1s\"", &own).await;
    let mut company = company();
    let many: Vec<String> = (0..25).map(|n| address(&format!("p{n}"))).collect();
    let users = company["users"].as_array_mut().unwrap();
    users.extend(many.iter().map(|email| json!({ "email": email })));
    let viewers = json!({ "name": "Example", "type": VIEWER, "members": many });
    company["groups"].as_array_mut().unwrap().push(viewers);
    world.seed(company).await;
    let short = json!({ "left_out": { "ids": [address("p3")] } });
    let rule = json!({ "failure": short, "operation": "list_memberships" });
    world.faults(json!({ "rules": [rule] })).await;
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    world.start_bridge();
    let told = said + &wrong;
    assert!(
        !ok && told.contains("to the total that Snyk tells"),
        "{told}"
    );
    assert!(
        find_all(&world, "Users").await.is_empty(),
        "nothing is known of it"
    );
    world.faults(json!({ "rules": [] })).await;
    world.import();
    let viewer = role(&world, VIEWER).await;
    let members = world.members(viewer.trim_start_matches("/Groups/")).await;
    assert_eq!(members.len(), many.len() + 1);
}

async fn find_all(world: &World, kind: &str) -> Vec<Value> {
    let found = world.get(&format!("/{kind}")).await.expect(200).body;
    found["Resources"].as_array().cloned().unwrap_or_default()
}
