//! Two connections of one process, and a walk over every route, method and kind
//! of id that the running server tells of itself (`/openapi.json`, so that a new
//! route is walked without being named here): with the other connection's token,
//! with the other connection's ids, and with bodies that name them. What belongs
//! to the other is answered to the byte as what never was: it cannot be read, and
//! not counted. Nor can it be timed: the answer is as long, nothing is sent to the
//! application, and the store runs the same statements, with as many steps each.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use serde_json::{Value, json};

use crate::{
    snyk::{find, id_of_user},
    support::{Application, Reply, Tenant, World, address, group, user, values},
};

/// A version 7 UUID that nothing has.
const NOTHING: &str = "0190a5d0-0000-7000-8000-000000000000";
const GUARDED: &str = "guard = { enabled = true }";
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// An answer without what differs from one to the next: its time, its own id,
/// and the id that was asked for.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn seen(reply: &Reply, id: &str) -> Seen {
    let headers = reply.headers.iter().map(|(name, value)| {
        let value = value.to_str().unwrap_or_default().replace(id, "ID");
        (name.to_string(), value)
    });
    Seen {
        status: reply.status.as_u16(),
        headers: headers
            .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
            .collect(),
        body: reply.body.to_string().replace(id, "ID"),
    }
}

/// The note of the store's statements, each with what it cost.
struct Work {
    path: PathBuf,
    read: u64,
}

/// So often two requests are compared: what the bridge does by itself may fall
/// into one of them.
const TRIES: usize = 5;

impl Work {
    /// The bridge, started again so that it notes them.
    fn of(world: &mut World, other: &mut Tenant, place: &tempfile::TempDir) -> Self {
        let path = place.path().join("work");
        world.kill_bridge();
        world.start_bridge_with(&[("DRAWBRIDGE_WORK", &path)]);
        world.meet(other);
        Self { path, read: 0 }
    }

    /// What was done since the last time.
    fn done(&mut self) -> Vec<String> {
        let Ok(mut file) = std::fs::File::open(&self.path) else {
            // A release build notes nothing.
            let given = std::env::var_os("DRAWBRIDGE_PROGRAM").is_some();
            assert!(given, "nothing is noted");
            return Vec::new();
        };
        file.seek(SeekFrom::Start(self.read)).expect("a place");
        let mut text = String::new();
        let more = file.read_to_string(&mut text).expect("text");
        self.read += more as u64;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }
}

/// What one connection has and another must not come by.
struct Secret {
    /// By kind; each is a UUID in its own right.
    ids: Vec<(&'static str, String)>,
    /// What nothing of the other connection contains.
    words: Vec<String>,
}

/// A user, a group with that user, and a request that waits for an operator.
async fn fill(world: &World, name: &str) -> Secret {
    let members = world.users(&format!("{name}-member"), 12).await;
    let mut ann = user(&format!("{name}-ann"));
    ann["externalId"] = format!("{name}-external").into();
    let ann = world.post("/Users", ann).await.expect(201).id();
    let crew = world.group(&format!("{name}-crew"), &members).await;
    let everybody = json!([{ "op": "remove", "path": "members" }]);
    world.patch(&format!("/Groups/{crew}"), everybody).await;
    let (_, held) = world.operate("GET", "/held").await;
    let mut ids = vec![("User", ann), ("Group", crew)];
    ids.extend(members.first().map(|id| ("member", id.clone())));
    ids.extend(hold_in(&held).map(|id| ("held request", id)));
    Secret {
        ids,
        words: vec![format!("{name}-")],
    }
}

/// The first id of a held request in what the operator is shown.
fn hold_in(shown: &Value) -> Option<String> {
    let list = shown.as_array().or_else(|| shown["held"].as_array())?;
    Some(list.first()?["id"].as_str()?.to_owned())
}

/// A body with which a method of a path would do something, about an id.
fn body(method: &str, path: &str, id: &str) -> Option<Value> {
    let patch = |operations: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        })
    };
    let of_groups = path.starts_with("/Groups");
    Some(match (method, path) {
        ("POST", path) if path.ends_with("/.search") => json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": format!("id eq \"{id}\""),
        }),
        ("POST", "/Bulk") => json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                { "method": "DELETE", "path": format!("/Users/{id}") },
                { "method": "DELETE", "path": format!("/Groups/{id}") },
                { "method": "PATCH", "path": format!("/Groups/{id}"),
                    "data": patch(json!([{ "op": "remove", "path": "members" }])) },
                { "method": "PUT", "path": format!("/Users/{id}"), "data": user("crawler") },
            ],
        }),
        ("POST" | "PUT", _) if of_groups => group("crawled", &[id.to_owned()]),
        ("POST" | "PUT", path) if path.starts_with("/Users/") => user("crawler"),
        ("PATCH", _) if of_groups => patch(json!([
            { "op": "add", "path": "members", "value": values(&[id.to_owned()]) },
        ])),
        ("PATCH", _) => patch(json!([{ "op": "replace", "path": "active", "value": false }])),
        ("POST" | "PUT", _) => json!({ "id": id }),
        _ => return None,
    })
}

/// Every path and method of the document, and methods that it does not tell of.
async fn doors(world: &World) -> Vec<(String, &'static str)> {
    let document = world.get("/openapi.json").await.expect(200).body;
    let paths = document["paths"].as_object().expect("paths").clone();
    assert!(paths.len() > 10, "the document tells of few paths");
    let doors = paths
        .keys()
        .flat_map(|path| METHODS.map(|it| (path.clone(), it)));
    doors.collect()
}

/// The same request about two ids must be answered the same, and be as much work.
async fn same(
    world: &World,
    work: &mut Work,
    (method, path): (&str, &str),
    body_path: &str,
    ids: [&str; 2],
) {
    let mut costs = Vec::new();
    for _ in 0..TRIES {
        let mut answers = Vec::new();
        costs.clear();
        for id in ids {
            let body = body(method, body_path, id);
            work.done();
            let answer = world.send(method, &path.replace("{id}", id), body).await;
            answers.push(seen(&answer, id));
            costs.push(work.done());
        }
        assert_eq!(answers[0], answers[1], "{method} {path} about {ids:?}");
        let found = answers[0].status < 400 && body_path.contains("{id}");
        assert!(!found, "{method} {path}: {answers:?}");
        if costs[0] == costs[1] {
            return;
        }
    }
    panic!("{method} {path} about {ids:?} is not the same work: {costs:#?}");
}

/// Questions that name an id in an address: of one resource those that need less
/// of it.
fn questions(path: &str) -> Vec<String> {
    if path.contains("{id}") {
        let parts = ["attributes=userName", "excludedAttributes=groups,members"];
        return parts.map(|it| format!("{path}?{it}")).into();
    }
    let filters = [
        "id eq \"{id}\"",
        "groups.value eq \"{id}\"",
        "members.value eq \"{id}\"",
        "members[value eq \"{id}\"]",
        "meta.location co \"{id}\"",
        "externalId eq \"{id}\"",
    ];
    let encoded = |text: &str| text.replace(' ', "%20").replace('"', "%22");
    let asked = filters.map(|filter| format!("{path}?filter={}", encoded(filter)));
    let more =
        ["cursor={id}", "sortBy=id&startIndex=1&cursor={id}"].map(|it| format!("{path}?{it}"));
    asked.into_iter().chain(more).collect()
}

/// Everything that can be asked without an id, as it is answered.
async fn overview(world: &World) -> Vec<(String, Seen)> {
    let mut all = Vec::new();
    for (path, method) in doors(world).await {
        let listing = path.ends_with("/.search") && method == "POST";
        if path.contains("{id}") || !(matches!(method, "GET" | "HEAD") || listing) {
            continue;
        }
        let body = listing
            .then(|| json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] }));
        let answer = world.send(method, &path, body).await;
        all.push((format!("{method} {path}"), seen(&answer, NOTHING)));
    }
    all
}

/// As the owner of one connection, everything about the other.
async fn crawl(world: &World, work: &mut Work, secret: &Secret) {
    world.forget_calls().await;
    for (path, method) in doors(world).await {
        for (_, id) in &secret.ids {
            same(world, work, (method, &path), &path, [id, NOTHING]).await;
            if method == "GET" {
                for question in questions(&path) {
                    same(world, work, (method, &question), &path, [id, NOTHING]).await;
                }
            }
        }
    }
    for (door, answer) in overview(world).await {
        for word in &secret.words {
            assert!(
                !answer.body.contains(word),
                "{door} shows {word}: {answer:?}"
            );
        }
    }
    let calls = world.calls().await;
    assert!(calls.is_empty(), "the application was asked: {calls:?}");
}

/// A token opens its own connection alone, and a wrong one is as good as the
/// other's.
async fn other_doors(world: &World, other_base: &str) {
    for (path, method) in doors(world).await {
        let url = path.replace("{id}", NOTHING);
        let mut answers = Vec::new();
        for (base, token) in [
            (other_base.to_owned(), world.token.clone()),
            (other_base.to_owned(), "dbr_nobody_has_this_one".to_owned()),
            (
                other_base.replace("/scim/v2", "x/scim/v2"),
                world.token.clone(),
            ),
        ] {
            let request = world
                .client
                .request(method.parse().unwrap(), format!("{base}{url}"));
            let answer = request.bearer_auth(token).send().await.expect("an answer");
            let (status, headers) = (answer.status(), answer.headers().clone());
            let text = answer.text().await.unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            answers.push(seen(
                &Reply {
                    status,
                    headers,
                    body,
                },
                NOTHING,
            ));
        }
        assert_eq!(answers[0].status, 401, "{method} {path}");
        assert_eq!(
            answers[0], answers[1],
            "{method} {path}: whose token it is, is not told"
        );
        assert_eq!(
            answers[0], answers[2],
            "{method} {path}: which connections there are, is not told"
        );
    }
}

/// Numbers of all connections are the operator's.
async fn operators_numbers(world: &World) {
    let root = world.base.split("/acme").next().unwrap().to_owned();
    let root = root.split("/globex").next().unwrap().to_owned();
    let (operator, _) = world.operator();
    for path in ["/metrics", "/status", "/audit", "/held", "/plan"] {
        for base in [&root, &world.base, &operator] {
            let asked = world.client.get(format!("{base}{path}"));
            let answer = asked
                .bearer_auth(&world.token)
                .send()
                .await
                .expect("an answer");
            let status = answer.status().as_u16();
            assert!(matches!(status, 401 | 404), "{base}{path} answers {status}");
        }
    }
}

/// How the two connections come to have something.
#[derive(Clone, Copy, PartialEq)]
enum Filled {
    ByRequests,
    /// The second one's application is only shown.
    Shown,
    /// Both show the same Snyk, each has a Snyk Group there that it works with.
    InOneSnyk,
}

async fn nothing_of_the_other_is_seen((mut world, mut other): (World, Tenant), filled: Filled) {
    let place = tempfile::tempdir().expect("a folder");
    let mut work = Work::of(&mut world, &mut other, &place);
    let mine = match filled {
        Filled::InOneSnyk => fill_snyk(&world, "Left").await,
        _ => fill(&world, "left").await,
    };
    let guarded = mine.ids.iter().any(|(kind, _)| *kind == "held request");
    let shown = filled == Filled::Shown;
    assert_eq!(guarded, !shown, "a held request is one of the kinds");
    let before = overview(&world).await;
    world.turn_to(&mut other);
    let theirs = match filled {
        Filled::ByRequests => fill(&world, "right").await,
        Filled::Shown => seeded(&world).await,
        Filled::InOneSnyk => fill_snyk(&world, "Right").await,
    };
    crawl(&world, &mut work, &mine).await;
    operators_numbers(&world).await;
    let base = world.base.clone();
    world.turn_to(&mut other);
    let after = overview(&world).await;
    assert_eq!(
        before, after,
        "the other connection's doings are seen in this one"
    );
    crawl(&world, &mut work, &theirs).await;
    other_doors(&world, &base).await;
    for (kind, id) in &mine.ids[..2] {
        world.get(&format!("/{kind}s/{id}")).await.expect(200);
    }
}

/// Two Snyk Groups, each with an administrator and viewers of its own.
fn one_snyk() -> Value {
    let crew = |name: &str| -> Vec<String> {
        let people = (0..12).map(|n| address(&format!("{name}{n}")));
        people.collect()
    };
    let root = |name: &str| address(&format!("{name}root"));
    let team = |name: &str, role: &str, members: Vec<String>| json!({ "name": name, "type": role, "members": members });
    let names = ["Left", "Right"];
    let teams = names.map(|name| {
        let admin = team(name, "group_admin", vec![root(name)]);
        [admin, team(name, "group_viewer", crew(name))]
    });
    let people = names.map(|name| [crew(name), vec![root(name)]].concat());
    let person = |email: &String| json!({ "email": email });
    let people: Vec<Value> = people.concat().iter().map(person).collect();
    json!({ "users": people, "groups": teams.concat() })
}

/// The same as [`fill`], where users come by themselves.
async fn fill_snyk(world: &World, name: &str) -> Secret {
    let root = id_of_user(world, &format!("{name}root")).await;
    let own = format!("{name}-external");
    let known = json!([{ "op": "add", "path": "externalId", "value": own }]);
    let known = world.patch(&format!("/Users/{root}"), known).await;
    assert!(known.status.is_success(), "{known:?}");
    let filter = format!("displayName eq \"{name}: group_viewer\"");
    let crew = find(world, "Groups", &filter).await["id"].clone();
    let crew = crew.as_str().expect("an id").to_owned();
    let member = id_of_user(world, &format!("{name}0")).await;
    let everybody = json!([{ "op": "remove", "path": "members" }]);
    world.patch(&format!("/Groups/{crew}"), everybody).await;
    let (_, held) = world.operate("GET", "/held").await;
    let mut ids = vec![("User", root), ("Group", crew), ("member", member)];
    ids.extend(hold_in(&held).map(|id| ("held request", id)));
    Secret {
        ids,
        words: vec![own],
    }
}

/// What an application that is only shown has shown, once it has been read.
async fn seeded(world: &World) -> Secret {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let first = |list: Value| Some(list["Resources"][0]["id"].as_str()?.to_owned());
    loop {
        let users = first(world.get("/Users?count=1").await.expect(200).body);
        let groups = first(world.get("/Groups?count=1").await.expect(200).body);
        if let (Some(user), Some(group)) = (users, groups) {
            return Secret {
                ids: vec![("User", user), ("Group", group)],
                words: vec!["Engineering".into()],
            };
        }
        assert!(std::time::Instant::now() < end, "nothing was read");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn two_connections_to_one_application_know_nothing_of_each_other() {
    let pair = World::pair_with(GUARDED).await;
    nothing_of_the_other_is_seen(pair, Filled::ByRequests).await;
}

#[tokio::test]
async fn connections_to_different_applications_know_nothing_of_each_other() {
    let pair = World::beside(Application::Hydden).await;
    nothing_of_the_other_is_seen(pair, Filled::Shown).await;
}

#[tokio::test]
async fn connections_to_one_snyk_know_nothing_of_each_other() {
    let pair = World::pair_of(Application::Snyk, GUARDED, ["", ""], one_snyk()).await;
    nothing_of_the_other_is_seen(pair, Filled::InOneSnyk).await;
}

#[tokio::test]
async fn connections_to_snyk_with_credentials_of_their_own_know_nothing_of_each_other() {
    let (mut world, mut other) = World::pair_apart(Application::Snyk, GUARDED, "").await;
    world.seed(one_snyk()).await;
    world.import();
    world.meet(&mut other);
    nothing_of_the_other_is_seen((world, other), Filled::InOneSnyk).await;
}
