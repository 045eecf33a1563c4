//! Bulk requests (RFC 7644 section 3.7) from outside: every method, references in
//! any order, what one error means for the others, and the limits. How they fare
//! with the application is in `application`.

mod application;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Reply, World, address, group, user};

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn request(operations: &[Value]) -> Value {
    json!({"schemas": [REQUEST], "Operations": operations})
}

/// The answers of the operations.
async fn bulk(world: &World, operations: &[Value]) -> Vec<Value> {
    answers(world.post("/Bulk", request(operations)).await)
}

fn answers(reply: Reply) -> Vec<Value> {
    let reply = reply.expect(200);
    assert_eq!(reply.body["schemas"], json!([RESPONSE]));
    let list = reply.body["Operations"].as_array().unwrap().clone();
    for answer in &list {
        let status = answer["status"].as_str().expect("status is a string");
        assert!(answer["method"].is_string(), "{answer}");
        if status.starts_with('2') {
            assert!(answer["location"].is_string(), "{answer}");
            assert!(answer.get("response").is_none(), "{answer}");
        } else {
            assert_eq!(answer["response"]["schemas"], json!([ERROR]), "{answer}");
            assert_eq!(answer["response"]["status"], status, "{answer}");
            assert!(answer["response"]["detail"].is_string(), "{answer}");
        }
    }
    list
}

fn statuses(answers: &[Value]) -> Vec<&str> {
    answers
        .iter()
        .map(|a| a["status"].as_str().unwrap())
        .collect()
}

fn post_user(bulk_id: &str) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": user(bulk_id)})
}

fn post_group(bulk_id: &str, members: &[&str]) -> Value {
    let members: Vec<String> = members.iter().map(|m| format!("bulkId:{m}")).collect();
    json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": group(bulk_id, &members)})
}

fn with_manager(bulk_id: &str, manager: &str) -> Value {
    let mut operation = post_user(bulk_id);
    operation["data"][ENTERPRISE] = json!({"manager": {"value": format!("bulkId:{manager}")}});
    operation
}

fn patch(path: &str, operations: Value) -> Value {
    let data = json!({"schemas": [PATCH_OP], "Operations": operations});
    json!({"method": "PATCH", "path": path, "data": data})
}

fn add(members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!([{"op": "add", "path": "members", "value": members}])
}

fn delete(path: &str) -> Value {
    json!({"method": "DELETE", "path": path})
}

/// The path below the base URL that an answer's location names.
fn place(world: &World, answer: &Value) -> String {
    let location = answer["location"].as_str().unwrap();
    location.strip_prefix(&world.base).unwrap().to_owned()
}

fn id(world: &World, answer: &Value) -> String {
    place(world, answer).rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_and_its_members_are_made_in_one_request_in_any_order() {
    let world = World::start().await;
    let users: Vec<String> = (0..6).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let made = bulk(
        &world,
        &[
            post_user("u0"),
            post_group("Forward", &names),
            post_user("u1"),
            patch("/Groups/bulkId:Between", add(&["bulkId:u5", "bulkId:u0"])),
            post_group("Between", &names[2..4]),
            post_user("u2"),
            post_user("u3"),
            post_user("u4"),
            post_user("u5"),
            post_group("Backward", &names),
        ],
    )
    .await;
    let expected = [
        "201", "201", "201", "204", "201", "201", "201", "201", "201", "201",
    ];
    assert_eq!(statuses(&made), expected, "{made:#?}");
    for (answer, bulk_id) in [
        (&made[0], "u0"),
        (&made[1], "Forward"),
        (&made[9], "Backward"),
    ] {
        assert_eq!(
            answer["bulkId"], bulk_id,
            "answers come in the order of the request"
        );
        let read = world.get(&place(&world, answer)).await.expect(200);
        assert_eq!(read.body["meta"]["location"], answer["location"]);
        // A user's tag also tells of its groups; what `If-Match` compares is this.
        let version = answer["version"].as_str().unwrap().trim_end_matches('"');
        let shown = read.body["meta"]["version"].as_str().unwrap();
        assert!(shown.starts_with(version), "{shown}");
    }
    let of = |places: &[usize]| -> BTreeSet<String> {
        places.iter().map(|at| id(&world, &made[*at])).collect()
    };
    let all = of(&[0, 2, 5, 6, 7, 8]);
    assert_eq!(world.members(&id(&world, &made[1])).await, all);
    assert_eq!(world.members(&id(&world, &made[9])).await, all);
    assert_eq!(
        world.members(&id(&world, &made[4])).await,
        of(&[0, 5, 6, 8])
    );
    let accounts: BTreeSet<String> = users.iter().map(|name| address(name)).collect();
    world.until_upstream_has("forward", &accounts).await;
    world.until_upstream_has("backward", &accounts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_does_what_the_single_request_does() {
    let world = World::start().await;
    let ids = world.users("u", 3).await;
    let [one, two, three] = [0, 1, 2].map(|n| format!("/Users/{}", ids[n]));
    let team = format!("/Groups/{}", world.group("Team", &ids).await);
    let old = format!("/Groups/{}", world.group("Old", &[]).await);
    let mut put = user("u0");
    put["title"] = "Lead".into();
    let keep = json!({"displayName": "Team", "members": [{"value": ids[0]}, {"value": ids[1]}]});
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])}]);
    let done = bulk(
        &world,
        &[
            json!({"method": "PUT", "path": one, "data": put}),
            patch(
                &two,
                json!([{"op": "replace", "path": "title", "value": "Second"}]),
            ),
            json!({"method": "put", "path": team, "data": keep}),
            patch(&team, remove),
            delete(&three),
            delete(&old),
        ],
    )
    .await;
    assert_eq!(
        statuses(&done),
        ["200", "200", "200", "204", "204", "204"],
        "{done:#?}"
    );
    assert_eq!(world.get(&one).await.body["title"], "Lead");
    assert_eq!(world.get(&two).await.body["title"], "Second");
    world.get(&three).await.expect(404);
    world.get(&old).await.expect(404);
    let left = world.get(&team).await.body;
    assert_eq!(left["members"].as_array().unwrap().len(), 1);
    assert_eq!(left["meta"]["version"], done[3]["version"]);
    assert!(
        done[4].get("version").is_none(),
        "a deleted resource has none"
    );
    world
        .until_upstream_has("team", &[address("u1")].into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_may_refer_to_each_other_in_a_circle_and_fall_together() {
    let world = World::start().await;
    let made = bulk(
        &world,
        &[
            with_manager("a", "c"),
            with_manager("b", "a"),
            with_manager("c", "b"),
            with_manager("self", "self"),
        ],
    )
    .await;
    assert_eq!(statuses(&made), ["201"; 4], "{made:#?}");
    for (who, manager) in [(0, 2), (1, 0), (2, 1), (3, 3)] {
        let read = world.get(&place(&world, &made[who])).await.body;
        assert_eq!(
            read[ENTERPRISE]["manager"]["value"],
            id(&world, &made[manager])
        );
    }
    // `c` is taken, so neither `x` nor `y` can be, and `z` has nothing to do with it.
    let mut taken = with_manager("y", "x");
    taken["data"]["userName"] = address("c").into();
    let failed = bulk(
        &world,
        &[
            with_manager("x", "y"),
            taken,
            post_user("z"),
            with_manager("w", "x"),
        ],
    )
    .await;
    assert_eq!(
        statuses(&failed),
        ["409", "409", "201", "409"],
        "{failed:#?}"
    );
    assert_eq!(failed[1]["response"]["scimType"], "uniqueness");
    for (place, culprit) in [(0, "\"y\""), (3, "\"x\"")] {
        let detail = failed[place]["response"]["detail"].as_str().unwrap();
        assert!(detail.contains(culprit), "{detail}");
        assert!(failed[place].get("location").is_none());
    }
    assert_eq!(world.get("/Users").await.body["totalResults"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_in_a_circle_are_told_that_groups_do_not_nest() {
    let world = World::start().await;
    let circle = [post_group("A", &["B"]), post_group("B", &["A"])];
    let told = bulk(&world, &circle).await;
    assert_eq!(statuses(&told), ["400", "409"], "{told:#?}");
    let detail = told[0]["response"]["detail"].as_str().unwrap();
    assert!(detail.contains("only Users are members"), "{detail}");
    assert_eq!(world.get("/Groups").await.body["totalResults"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_looks_like_a_reference_is_kept() {
    let world = World::start().await;
    let mut operation = post_user("u");
    operation["data"]["displayName"] = "bulkId:u".into();
    operation["data"]["title"] = "bulkId:nobody".into();
    let made = bulk(&world, &[operation]).await;
    assert_eq!(statuses(&made), ["201"], "{made:#?}");
    let read = world.get(&place(&world, &made[0])).await.body;
    let texts = (&read["displayName"], &read["title"]);
    assert_eq!(texts, (&json!("bulkId:u"), &json!("bulkId:nobody")));
}

#[tokio::test(flavor = "multi_thread")]
async fn references_hold_in_paths_and_filters_too() {
    let world = World::start().await;
    let made = bulk(
        &world,
        &[
            post_group("Team", &["a", "b", "c"]),
            post_user("a"),
            post_user("b"),
            post_user("c"),
            patch(
                "/Groups/bulkId:Team",
                json!([{"op": "remove", "path": "members[value eq \"bulkId:a\"]"}]),
            ),
            patch(
                "/Users/bulkId:b",
                json!([{"op": "add", "path": "title", "value": "B"}]),
            ),
            delete("/Users/bulkId:c"),
        ],
    )
    .await;
    let expected = ["201", "201", "201", "201", "204", "200", "204"];
    assert_eq!(statuses(&made), expected, "{made:#?}");
    assert_eq!(
        world.members(&id(&world, &made[0])).await,
        [id(&world, &made[2])].into()
    );
    assert_eq!(world.get(&place(&world, &made[2])).await.body["title"], "B");
    world.get(&place(&world, &made[3])).await.expect(404);
    let lost = bulk(
        &world,
        &[
            post_group("Lost", &["nobody"]),
            delete("/Users/bulkId:nobody"),
        ],
    )
    .await;
    assert_eq!(statuses(&lost), ["409", "409"]);
    assert_eq!(world.get("/Groups").await.body["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_stops_nothing_unless_fail_on_errors_says_so() {
    let world = World::start().await;
    world.user("taken").await;
    let operations = |prefix: &str| {
        let name = |n: usize| format!("{prefix}{n}");
        vec![
            post_user(&name(1)),
            post_user("taken"),
            post_group(&name(2), &["taken"]),
            delete("/Users/nothing"),
            post_user(&name(3)),
        ]
    };
    let all = bulk(&world, &operations("a")).await;
    assert_eq!(
        statuses(&all),
        ["201", "409", "409", "404", "201"],
        "{all:#?}"
    );
    for (most, expected) in [
        (1, vec!["201", "409"]),
        (2, vec!["201", "409", "409"]),
        (3, vec!["201", "409", "409", "404"]),
        (4, vec!["201", "409", "409", "404", "201"]),
    ] {
        let mut body = request(&operations(&format!("b{most}-")));
        body["failOnErrors"] = most.into();
        let some = answers(world.post("/Bulk", body).await);
        assert_eq!(statuses(&some), expected, "failOnErrors {most}");
        let last = format!("/Users?filter=userName%20eq%20%22b{most}-3%40example.com%22");
        let found = world.get(&last).await.body["totalResults"].as_u64();
        assert_eq!(
            found,
            Some(u64::from(most == 4)),
            "what was not begun is left undone"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_a_precondition_of_its_operation() {
    let world = World::start().await;
    let path = format!("/Users/{}", world.user("u").await);
    let title = |title: &str, version: &str| {
        let mut operation = patch(
            &path,
            json!([{"op": "replace", "path": "title", "value": title}]),
        );
        operation["version"] = version.into();
        operation
    };
    let done = bulk(
        &world,
        &[
            title("a", "W/\"1\""),
            title("b", "W/\"1\""),
            title("c", "nonsense"),
            title("d", "\"2\""),
        ],
    )
    .await;
    assert_eq!(statuses(&done), ["200", "412", "400", "200"], "{done:#?}");
    assert_eq!(done[2]["response"]["scimType"], "invalidVers");
    let detail = done[2]["response"]["detail"].as_str().unwrap();
    assert!(detail.contains("version of the operation"), "{detail}");
    assert_eq!(done[1]["location"], format!("{}{path}", world.base));
    let read = world.get(&path).await.body;
    assert_eq!(
        (&read["title"], &read["meta"]["version"]),
        (&json!("d"), &json!("W/\"3\""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_operation_is_told_in_its_place() {
    let world = World::start().await;
    let mut bad_user = post_user("bad");
    bad_user["data"]["userName"] = "".into();
    let told = bulk(
        &world,
        &[
            json!({"method": "GET", "path": "/Users"}),
            delete("/Devices/1"),
            json!({"method": "POST", "path": "/Bulk", "bulkId": "nested", "data": request(&[])}),
            json!({"method": "POST", "path": "/Users/1", "bulkId": "p", "data": {}}),
            delete("/Users"),
            bad_user,
            json!({"method": "POST", "path": "/Users", "bulkId": "none"}),
            patch("/Users/bulkId:none", json!([])),
            post_user("good"),
        ],
    )
    .await;
    let expected = [
        "400", "404", "400", "405", "405", "400", "400", "409", "201",
    ];
    assert_eq!(statuses(&told), expected, "{told:#?}");
    assert_eq!(told[5]["response"]["scimType"], "invalidValue");
    assert_eq!(world.get("/Users").await.body["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_refused_whole() {
    let world = World::start().await;
    for (body, words) in [
        (json!([]), "object"),
        (json!({"schemas": [REQUEST]}), "Operations"),
        (request(&[json!(1)]), "Operations[0]"),
        (request(&[post_user("a"), post_user("a")]), "twice"),
        (
            request(&[
                post_user("a"),
                json!({"method": "POST", "path": "/Users", "data": user("b")}),
            ]),
            "bulkId",
        ),
        (
            json!({"failOnErrors": 0, "Operations": [post_user("a")]}),
            "failOnErrors",
        ),
    ] {
        let refused = world.post("/Bulk", body.clone()).await.expect(400);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {detail}");
    }
    assert_eq!(world.get("/Users").await.body["totalResults"], 0);
    let empty = answers(world.post("/Bulk", request(&[])).await);
    assert!(empty.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_are_told_and_held_to_the_operation_and_the_byte() {
    let world = World::with("[connection.limits]\nbulk_operations = 3", &["--empty"]).await;
    let config = world.get("/ServiceProviderConfig").await.body;
    assert_eq!(
        config["bulk"],
        json!({"supported": true, "maxOperations": 3, "maxPayloadSize": 1_048_576})
    );
    let users = ["a", "b", "c", "d"].map(post_user);
    let refused = world.post("/Bulk", request(&users)).await.expect(413);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("maxOperations (3)"), "{detail}");
    assert_eq!(world.get("/Users").await.body["totalResults"], 0);
    assert_eq!(statuses(&bulk(&world, &users[..3]).await), ["201"; 3]);

    // Spaces count as well.
    let padded = |size: usize| {
        let mut body = request(&[delete("/Users/1")]);
        let length = body.to_string().len();
        body["padding"] = "".into();
        let around = body.to_string().len() - length;
        body["padding"] = " ".repeat(size - length - around).into();
        assert_eq!(body.to_string().len(), size);
        body
    };
    world.post("/Bulk", padded(1_048_576)).await.expect(200);
    let refused = world.post("/Bulk", padded(1_048_577)).await.expect(413);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("maxPayloadSize") && detail.contains("1048576"),
        "{detail}"
    );
}
