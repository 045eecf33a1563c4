//! Two connections of one bridge know nothing of each other (reliability: S-11,
//! S-12): not an id, not a name, not an `externalId`, not a cursor. What belongs
//! to the other is answered as what never was.

use serde_json::{Value, json};

use super::support::{Reply, World, user};

/// Ids that could be taken for something else.
const EXTERNAL: [&str; 6] = [
    "1",
    "0190a5d0-0000-7000-8000-000000000000",
    "../globex/Users/1",
    "Ünï-日本-🙂",
    "a\" or externalId pr or userName eq \"",
    "%2e%2e%2f",
];

fn named(name: &str, external: &str) -> Value {
    let mut user = user(name);
    user["externalId"] = json!(external);
    user
}

fn by_external_id(external: &str) -> Value {
    let literal = Value::from(external).to_string();
    json!({"filter": format!("externalId eq {literal}")})
}

fn total(reply: Reply) -> u64 {
    let reply = reply.expect(200);
    reply.body["totalResults"].as_u64().unwrap()
}

/// An error without the id that it repeats.
fn without(reply: Reply, id: &str) -> Value {
    serde_json::from_str(&reply.body.to_string().replace(id, "ID")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_is_seen_found_and_taken_in_its_own_connection_only() {
    let (mut world, mut other) = World::pair().await;
    let long = "x".repeat(1024);
    let externals = EXTERNAL.into_iter().chain([long.as_str()]);
    for (n, external) in externals.enumerate() {
        let name = format!("own{n}");
        let own = world.post("/Users", named(&name, external)).await;
        let own = own.expect(201).id();

        world.turn_to(&mut other);
        let found = world.post("/Users/.search", by_external_id(external)).await;
        assert_eq!(total(found), 0, "{external} is found from elsewhere");
        let found = world.post("/.search", by_external_id(external)).await;
        assert_eq!(total(found), 0, "{external} is found from elsewhere");
        // Nor is it taken. (A userName may be, by the application that both share.)
        let name = format!("theirs{n}");
        let foreign = world.post("/Users", named(&name, external)).await;
        let foreign = foreign.expect(201);
        assert_eq!(foreign.body["externalId"], external);
        assert_ne!(foreign.id(), own);
        let found = world.post("/Users/.search", by_external_id(external)).await;
        assert_eq!(found.body["Resources"][0]["id"], foreign.id());
        assert_eq!(total(found), 1);
        let path = format!("/Users/{}", foreign.id());
        let gone = json!([{"op": "remove", "path": "externalId"}]);
        world.patch(&path, gone).await.expect(200);
        world.turn_to(&mut other);

        let kept = world.get(&format!("/Users/{own}")).await.expect(200);
        assert_eq!(kept.body["externalId"], external, "changed from elsewhere");
        let found = world.post("/Users/.search", by_external_id(external)).await;
        assert_eq!(total(found), 1);
    }
    let shown = world.get("/Users?count=100").await.expect(200);
    assert!(shown.body.to_string().contains(&long));
    world.turn_to(&mut other);
    let shown = world.get("/Users?count=100").await.expect(200);
    assert!(!shown.body.to_string().contains(&long));
}

/// Every method by id, alone and in Bulk, and the members of a group.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_another_connection_is_an_id_of_nothing() {
    let (mut world, mut other) = World::pair().await;
    let ann = world.user("ann").await;
    let readers = world.group("readers", std::slice::from_ref(&ann)).await;
    let paths = [("Users", &ann), ("Groups", &readers)];
    let mut before = Vec::new();
    for (list, id) in paths {
        before.push(world.get(&format!("/{list}/{id}")).await.expect(200).body);
    }
    world.turn_to(&mut other);
    let unknown = "0190a5d0-0000-7000-8000-000000000000";
    for (list, id) in paths {
        let body = match list {
            "Users" => user("eve"),
            _ => {
                json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "taken"})
            }
        };
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "displayName", "value": "taken"}],
        });
        for (method, body) in [
            ("GET", None),
            ("HEAD", None),
            ("PUT", Some(body)),
            ("PATCH", Some(patch)),
            ("DELETE", None),
        ] {
            let foreign = world
                .send(method, &format!("/{list}/{id}"), body.clone())
                .await;
            let nothing = world
                .send(method, &format!("/{list}/{unknown}"), body.clone())
                .await;
            assert_eq!(foreign.status, 404, "{method} {list}");
            assert_eq!(
                without(foreign, id),
                without(nothing, unknown),
                "{method} {list}"
            );
            let mut operation = json!({"method": method, "path": format!("/{list}/{id}")});
            if let Some(body) = body {
                operation["data"] = body;
            }
            if matches!(method, "GET" | "HEAD") {
                continue;
            }
            let bulk = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": [operation],
            });
            let done = world.post("/Bulk", bulk).await.expect(200);
            assert_eq!(
                done.body["Operations"][0]["status"], "404",
                "{method} {list}"
            );
        }
        let filter = json!({"filter": format!("id eq \"{id}\"")});
        assert_eq!(
            total(world.post(&format!("/{list}/.search"), filter).await),
            0
        );
    }
    let own = world.group("writers", &[]).await;
    let add = json!([{"op": "add", "path": "members", "value": [{"value": ann}]}]);
    world
        .patch(&format!("/Groups/{own}"), add)
        .await
        .expect(400);
    assert!(world.members(&own).await.is_empty());
    world.turn_to(&mut other);
    for ((list, id), before) in paths.into_iter().zip(before) {
        let after = world.get(&format!("/{list}/{id}")).await.expect(200).body;
        assert_eq!(after, before);
    }
}

/// The same query there, to the letter.
#[tokio::test]
async fn a_cursor_of_another_connection_is_none() {
    let (mut world, mut other) = World::pair().await;
    let asked = "/Users?filter=userName+pr&count=2";
    for tenant in 0..2 {
        for n in 0..4 {
            world.user(&format!("t{tenant}-{n}")).await;
        }
        world.turn_to(&mut other);
    }
    let first = world.get(&format!("{asked}&cursor=")).await.expect(200);
    let cursor = first.body["nextCursor"].as_str().unwrap().to_owned();
    let next = format!("{asked}&cursor={cursor}");
    world.get(&next).await.expect(200);
    world.turn_to(&mut other);
    let foreign = world.get(&next).await.expect(400);
    assert_eq!(foreign.body["scimType"], "invalidCursor");
    let forged = world.get(&format!("{asked}&cursor=nonsense")).await;
    assert_eq!(foreign.body, forged.body, "it does not tell which exist");
    let search = json!({"filter": "userName pr", "count": 2, "cursor": cursor});
    let foreign = world.post("/Users/.search", search).await.expect(400);
    assert_eq!(foreign.body, forged.body);
}

/// `id` is caseExact (RFC 7643 section 3.1): in a path as in a filter.
#[tokio::test]
async fn an_id_in_other_letters_is_another_id() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let readers = world.group("readers", std::slice::from_ref(&ann)).await;
    for (list, id) in [("Users", &ann), ("Groups", &readers)] {
        let upper = id.to_uppercase();
        assert_ne!(&upper, id);
        for (id, there) in [(id, true), (&upper, false)] {
            let status = if there { 200 } else { 404 };
            world.get(&format!("/{list}/{id}")).await.expect(status);
            let filter = json!({"filter": format!("id eq \"{id}\"")});
            let found = world.post(&format!("/{list}/.search"), filter).await;
            assert_eq!(total(found), u64::from(there), "{list} {id}");
        }
        world
            .send("DELETE", &format!("/{list}/{upper}"), None)
            .await
            .expect(404);
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{"method": "DELETE", "path": format!("/{list}/{upper}")}],
        });
        let done = world.post("/Bulk", bulk).await.expect(200);
        assert_eq!(done.body["Operations"][0]["status"], "404");
        world.get(&format!("/{list}/{id}")).await.expect(200);
    }
    // Who is meant by a member is certain, and a removal must not be lost.
    let path = format!("members[value eq \"{}\"]", ann.to_uppercase());
    let remove = json!([{"op": "remove", "path": path}]);
    world
        .patch(&format!("/Groups/{readers}"), remove)
        .await
        .expect(204);
    assert!(world.members(&readers).await.is_empty());
}
