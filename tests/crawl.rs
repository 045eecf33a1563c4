//! Two connections of one process, and a walk over every route, method and kind
//! of id that the running server tells of itself (`/openapi.json`, so that a new
//! route is walked without being named here): with the other connection's token,
//! with the other connection's ids, and with bodies that name them. What belongs
//! to the other is answered to the byte as what never was: it cannot be read, and
//! not counted. Nor do the answers' sizes differ, by which it could be timed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Application, Reply, Tenant, World, group, user, values};

/// A version 7 UUID that nothing has.
const NOTHING: &str = "0190a5d0-0000-7000-8000-000000000000";
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

/// The same request about two ids must be answered the same.
async fn same(world: &World, (method, path): (&str, &str), body_path: &str, ids: [&str; 2]) {
    let mut answers = Vec::new();
    for id in ids {
        let body = body(method, body_path, id);
        let answer = world.send(method, &path.replace("{id}", id), body).await;
        answers.push(seen(&answer, id));
    }
    assert_eq!(answers[0], answers[1], "{method} {path} about {ids:?}");
    let found = answers[0].status < 400 && body_path.contains("{id}");
    assert!(!found, "{method} {path}: {answers:?}");
}

/// Questions that name an id in an address.
fn questions(path: &str) -> Vec<String> {
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
async fn crawl(world: &World, secret: &Secret) {
    for (path, method) in doors(world).await {
        for (_, id) in &secret.ids {
            same(world, (method, &path), &path, [id, NOTHING]).await;
            if method == "GET" && !path.contains("{id}") {
                for question in questions(&path) {
                    same(world, (method, &question), &path, [id, NOTHING]).await;
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

async fn nothing_of_the_other_is_seen((mut world, mut other): (World, Tenant), shown: bool) {
    let mine = fill(&world, "left").await;
    let guarded = mine.ids.iter().any(|(kind, _)| *kind == "held request");
    assert_eq!(guarded, !shown, "a held request is one of the kinds");
    let before = overview(&world).await;
    world.turn_to(&mut other);
    let theirs = if shown {
        seeded(&world).await
    } else {
        fill(&world, "right").await
    };
    crawl(&world, &mine).await;
    operators_numbers(&world).await;
    let base = world.base.clone();
    world.turn_to(&mut other);
    let after = overview(&world).await;
    assert_eq!(
        before, after,
        "the other connection's doings are seen in this one"
    );
    crawl(&world, &theirs).await;
    other_doors(&world, &base).await;
    for (kind, id) in &mine.ids[..2] {
        world.get(&format!("/{kind}s/{id}")).await.expect(200);
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
    let pair = World::pair_with("guard = { enabled = true }").await;
    nothing_of_the_other_is_seen(pair, false).await;
}

#[tokio::test]
async fn connections_to_different_applications_know_nothing_of_each_other() {
    let pair = World::beside(Application::Hydden).await;
    nothing_of_the_other_is_seen(pair, true).await;
}
