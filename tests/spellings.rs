//! What is not the client's to write is written by no spelling (reliability:
//! S-15): every letter case, with and without URN, as path, key, dotted key,
//! nested object, list or JSON text, by POST, PUT and PATCH, alone and (every
//! fourth) in Bulk. Generated, and judged by what a GET shows afterwards.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::support::{World, user};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const OPSERA_USER: &str = "urn:ietf:params:scim:schemas:extension:opsera:2.0:User";
const OPSERA_GROUP: &str = "urn:ietf:params:scim:schemas:extension:opsera:2.0:Group";

/// One attribute in one letter case, with or without its URN.
fn names(urn: &str, attribute: &str) -> BTreeSet<String> {
    let alternating: String = attribute
        .chars()
        .enumerate()
        .map(|(i, c)| match i % 2 {
            0 => c.to_ascii_uppercase(),
            _ => c.to_ascii_lowercase(),
        })
        .collect();
    let upper = attribute.to_ascii_uppercase();
    let shouted = format!("{}:{upper}", urn.to_ascii_uppercase());
    let long = format!("{urn}:{attribute}");
    let mixed = format!("{urn}:{alternating}");
    BTreeSet::from([
        attribute.to_owned(),
        upper,
        alternating,
        long,
        mixed,
        shouted,
    ])
}

/// Bodies of PUT and PATCH that try to write `value` at a name.
fn attempts(urn: &str, name: &str, value: &Value) -> Vec<(&'static str, Value)> {
    let last = name.rsplit(':').next().unwrap_or(name).to_owned();
    let one = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    let nested = one(urn, one(&last, value.clone()));
    let flat = one(name, value.clone());
    let mut objects = vec![flat.clone(), nested];
    if let Some((parent, part)) = name
        .rsplit_once('.')
        .filter(|(_, part)| !part.contains(':'))
    {
        objects.push(one(parent, one(part, value.clone())));
        objects.push(one(parent, json!([one(part, value.clone())])));
        objects.push(one(parent, one(part, value.clone()).to_string().into()));
    }
    let mut all: Vec<(&'static str, Value)> = Vec::new();
    for op in ["add", "Replace"] {
        all.push(("PATCH", json!({"op": op, "path": name, "value": value})));
        all.push(("PATCH", json!({"op": op, "value": flat.to_string()})));
        for object in &objects {
            all.push(("PATCH", json!({"op": op, "value": object})));
        }
    }
    all.push(("PATCH", json!({"op": "remove", "path": name})));
    all.push((
        "PATCH",
        json!({"op": "remove", "path": format!("{name}[value pr]")}),
    ));
    all.extend(objects.into_iter().map(|object| ("PUT", object)));
    all
}

/// The same as an operation of a bulk request.
async fn in_bulk(world: &World, method: &str, path: &str, body: &Value) {
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": method, "path": path, "data": body}],
    });
    let answer = world.post("/Bulk", bulk).await;
    let whole = answer.status.as_u16();
    let status = answer.body["Operations"][0]["status"].as_str();
    let judged = ["200", "204", "400"].map(Some).contains(&status);
    assert!(
        whole == 400 || whole == 200 && judged,
        "{method} {body}: {answer:?}"
    );
}

/// Sends every attempt; how many were sent, and that none had an effect.
async fn attack(world: &World, path: &str, urn: &str, attribute: &str, value: &Value) -> usize {
    let before = world.get(path).await.expect(200).body;
    let mut whole = before.clone();
    for own in ["id", "meta", "groups"] {
        whole.as_object_mut().unwrap().remove(own);
    }
    let mut sent = 0;
    for name in names(urn, attribute) {
        for (method, attempt) in attempts(urn, &name, value) {
            let body = match method {
                "PUT" => {
                    let mut body = whole.clone();
                    let map = body.as_object_mut().unwrap();
                    map.extend(attempt.as_object().unwrap().clone());
                    body
                }
                _ => json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                    "Operations": [attempt],
                }),
            };
            let answer = world.send(method, path, Some(body.clone())).await;
            let code = answer.status.as_u16();
            assert!(
                [200, 204, 400].contains(&code),
                "{method} {attempt}: {answer:?}"
            );
            if sent % 4 == 0 {
                in_bulk(world, method, path, &body).await;
            }
            let after = world.get(path).await.expect(200).body;
            assert_eq!(after, before, "{method} {attempt}");
            sent += 1;
        }
    }
    sent
}

/// What a resource shows at an attribute.
fn shown<'a>(resource: &'a Value, urn: &str, attribute: &str) -> Option<&'a Value> {
    let place = match urn {
        USER | GROUP => resource,
        urn => resource.get(urn)?,
    };
    attribute
        .split('.')
        .try_fold(place, |at, name| at.get(name))
}

/// Creates users with every attempt; how many were sent, and that what was
/// made does not show it.
async fn creations(world: &World, urn: &str, attribute: &str, value: &Value) -> usize {
    let mut sent = 0;
    for name in names(urn, attribute) {
        let puts = attempts(urn, &name, value).into_iter();
        for (_, attempt) in puts.filter(|(method, _)| *method == "PUT") {
            let place = attribute.replace('.', "-");
            let mut body = user(&format!("{place}-{sent}"));
            let map = body.as_object_mut().unwrap();
            map.extend(attempt.as_object().unwrap().clone());
            let answer = world.post("/Users", body).await;
            let code = answer.status.as_u16();
            assert!([201, 400].contains(&code), "{attempt}: {answer:?}");
            if code == 201 {
                let path = format!("/Users/{}", answer.id());
                let made = world.get(&path).await.expect(200).body;
                assert_ne!(shown(&made, urn, attribute), Some(value), "{attempt}");
            }
            sent += 1;
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_writes_what_is_read_only() {
    let strict = World::with("strict = true", &["--empty"]).await;
    for world in [World::start().await, strict] {
        let member = world.user("ro").await;
        let user = format!("/Users/{member}");
        let group = format!(
            "/Groups/{}",
            world.group("readers", std::slice::from_ref(&member)).await
        );
        let other = json!("0190a5d0-0000-7000-8000-000000000000");
        let then = json!("2001-01-01T00:00:00Z");
        let mut sent = 0;
        for (urn, attribute, value) in [
            (USER, "id", &other),
            (USER, "meta.created", &then),
            (USER, "meta.lastModified", &then),
            (USER, "meta.resourceType", &json!("Group")),
            (USER, "meta.location", &json!("https://example.com/x")),
            (USER, "meta.version", &json!("W/\"9\"")),
            (USER, "groups", &json!([{"value": other}])),
            (USER, "groups.value", &other),
            (USER, "schemas", &json!([GROUP])),
            (USER, "entitlements", &json!([{"value": "all"}])),
            (ENTERPRISE, "manager.displayName", &json!("Boss")),
            (OPSERA_USER, "ssoSystem", &json!("x")),
            (OPSERA_USER, "domain", &json!("x")),
        ] {
            sent += attack(&world, &user, urn, attribute, value).await;
            sent += creations(&world, urn, attribute, value).await;
        }
        for (urn, attribute, value) in [
            (GROUP, "id", &other),
            (GROUP, "meta.created", &then),
            (OPSERA_GROUP, "name", &json!("admins")),
            (OPSERA_GROUP, "synced", &json!(true)),
        ] {
            sent += attack(&world, &group, urn, attribute, value).await;
        }
        assert!(sent >= 500, "only {sent} attempts");
    }
}
