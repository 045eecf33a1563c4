//! Hydden.Control behind the bridge: an inventory that can only be read. What
//! is there is shown, and follows what is there; every change is refused with
//! the reason that the schema tells, and leaves no upstream call.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Application, World, eventually, group, values};

/// Ann leads; the crew is inside the department; Eve is suspended.
fn company() -> Value {
    json!({
        "users": [
            { "email": "ann@example.com", "first_name": "Ann", "last_name": "Arden", "department": "Finance" },
            { "email": "ben@example.com" },
            { "email": "cat@example.com" },
            { "email": "eve@example.com", "active": false },
        ],
        "groups": [
            { "name": "Department", "members": ["ann@example.com"], "nested": ["Crew"] },
            { "name": "Crew", "members": ["ann@example.com", "ben@example.com", "eve@example.com"] },
        ],
    })
}

/// The bridge in front of it, which has read it.
async fn inventory() -> World {
    let mut world = World::of(Application::Hydden, "import = \"never\"").await;
    world.seed(company()).await;
    read_again(&mut world);
    world
}

pub async fn find(world: &World, kind: &str, filter: &str) -> Value {
    let filter = filter.replace(' ', "%20").replace('"', "%22");
    let found = world.get(&format!("/{kind}?filter={filter}")).await;
    let found = found.expect(200).body["Resources"][0].clone();
    assert!(found.is_object(), "{kind} {filter}");
    found
}

pub fn ids(group: &Value) -> Vec<String> {
    let list = group["members"].as_array().cloned().unwrap_or_default();
    let id = |member: &Value| member["value"].as_str().expect("an id").to_owned();
    list.iter().map(id).collect()
}

#[tokio::test]
async fn what_is_there_is_shown_with_direct_members_alone() {
    let world = inventory().await;
    let ann = find(&world, "Users", "userName eq \"ann@example.com\"").await;
    assert_eq!(ann["displayName"], "Ann Arden");
    assert_eq!(ann["active"], true);
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert_eq!(ann[enterprise]["department"], "Finance");
    let own = "urn:ietf:params:scim:schemas:extension:hydden:2.0:User";
    assert_eq!(ann[own]["account"], "acc-1");
    let eve = find(&world, "Users", "userName eq \"eve@example.com\"").await;
    assert_eq!(eve["active"], false);

    let department = find(&world, "Groups", "displayName eq \"Department\"").await;
    assert_eq!(ids(&department), [ann["id"].as_str().unwrap()]);
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    assert_eq!(ids(&crew).len(), 3, "also one who is not active: {crew}");
}

#[tokio::test]
async fn a_change_of_members_is_refused_with_the_reason_and_without_a_call() {
    let world = inventory().await;
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let path = format!("/Groups/{}", crew["id"].as_str().unwrap());
    let members = ids(&crew);
    let cat = find(&world, "Users", "userName eq \"cat@example.com\"").await;
    let cat = cat["id"].as_str().unwrap().to_owned();
    let more: Vec<String> = members.iter().cloned().chain([cat.clone()]).collect();

    let ((), calls) = world
        .calls_of(async {
            for operations in [
                json!([{ "op": "add", "path": "members", "value": [{ "value": cat }] }]),
                json!([{ "op": "add", "value": { "members": [{ "value": cat }] } }]),
                json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", members[0]) }]),
                json!([{ "op": "remove", "path": "members" }]),
                json!([{ "op": "replace", "path": "members", "value": [] }]),
                json!([{ "op": "replace", "path": format!("members[value eq \"{}\"].value", members[0]),
                    "value": cat }]),
                json!([{ "op": "replace", "path": format!("members[value eq \"{}\"].display", members[0]),
                    "value": "Cat" }]),
                json!([{ "op": "replace", "path": format!("members[value eq \"{}\"]", members[0]),
                    "value": { "value": cat } }]),
                json!([{ "op": "replace", "path": "members.value", "value": cat }]),
                json!([{ "op": "add", "path": "members",
                    "value": [{ "value": "0197f3a2-1111-7222-8333-444455556666" }] }]),
            ] {
                refused_members(&world.patch(&path, operations).await.expect(400).body);
            }
            for wrong in [&more[..], &members[..2], &[]] {
                let answer = world.put(&path, group("Crew", wrong)).await;
                refused_members(&answer.expect(400).body);
            }
        })
        .await;
    assert_eq!(calls, Vec::<Value>::new());
    let now: BTreeSet<String> = members.into_iter().collect();
    assert_eq!(world.members(crew["id"].as_str().unwrap()).await, now);
}

#[track_caller]
fn refused_members(body: &Value) {
    assert_eq!(body["scimType"], "mutability", "{body}");
    let detail = body["detail"].as_str().unwrap();
    let reason = "Hydden.Control documents no way to add, remove or replace the members";
    assert!(detail.contains(reason), "{detail}");
}

#[tokio::test]
async fn saying_again_what_is_so_succeeds_without_a_call() {
    let world = inventory().await;
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let path = format!("/Groups/{}", crew["id"].as_str().unwrap());
    let members = ids(&crew);
    let ann = find(&world, "Users", "userName eq \"ann@example.com\"").await;
    let ((), calls) = world
        .calls_of(async {
            world.put(&path, group("Crew", &members)).await.expect(200);
            let mut turned = members.clone();
            turned.reverse();
            world.put(&path, group("Crew", &turned)).await.expect(200);
            let again = json!([
                { "op": "add", "path": "members", "value": values(&members[..1]) },
                { "op": "replace", "path": "displayName", "value": "Crew" },
            ]);
            world.patch(&path, again).await.expect(204);
            let user = format!("/Users/{}", ann["id"].as_str().unwrap());
            world.put(&user, ann.clone()).await.expect(200);
            let active = json!([{ "op": "replace", "path": "active", "value": true }]);
            world.patch(&user, active).await.expect(200);
            let password = json!([{ "op": "replace", "value": { "password": "a-secret" } }]);
            let told = world.patch(&user, password).await.expect(200).headers;
            assert_eq!(told["drawbridge-dropped-attributes"], "1", "never kept");
        })
        .await;
    assert_eq!(calls, Vec::<Value>::new());
}

#[tokio::test]
async fn users_and_groups_are_not_written_and_the_answer_says_why() {
    let world = inventory().await;
    let ann = find(&world, "Users", "userName eq \"ann@example.com\"").await;
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let user = format!("/Users/{}", ann["id"].as_str().unwrap());
    let path = format!("/Groups/{}", crew["id"].as_str().unwrap());
    let mut inactive = ann.clone();
    inactive["active"] = false.into();
    let mut renamed = ann.clone();
    renamed["nickName"] = "Annie".into();
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Other" }]);
    let deactivate = json!([{ "op": "replace", "value": { "active": false } }]);
    let ((), calls) = world
        .calls_of(async {
            for (answer, status, reason) in [
                (
                    world.post("/Users", crate::support::user("new")).await,
                    403,
                    "accounts",
                ),
                (
                    world.post("/Groups", group("New", &[])).await,
                    403,
                    "groups",
                ),
                (world.put(&user, inactive).await, 400, "accounts"),
                (world.put(&user, renamed).await, 400, "accounts"),
                (world.patch(&user, deactivate).await, 400, "accounts"),
                (world.send("DELETE", &user, None).await, 403, "accounts"),
                (world.patch(&path, rename).await, 400, "groups"),
                (
                    world.put(&path, group("Other", &ids(&crew))).await,
                    400,
                    "groups",
                ),
                (world.send("DELETE", &path, None).await, 403, "groups"),
            ] {
                let body = answer.expect(status).body;
                let detail = body["detail"].as_str().unwrap();
                let reason = format!("Hydden.Control's {reason} are an inventory");
                assert!(detail.contains(&reason), "{detail}");
            }
        })
        .await;
    assert_eq!(calls, Vec::<Value>::new());
    assert_eq!(world.get(&user).await.expect(200).body["active"], true);

    // What is the identity provider's own stays writable.
    let own = json!([{ "op": "add", "path": "externalId", "value": "42" }]);
    world.patch(&user, own.clone()).await.expect(200);
    world.patch(&path, own).await.expect(204);
}

#[tokio::test]
async fn what_the_service_provider_configuration_tells_is_so() {
    let world = inventory().await;
    let told = world.get("/ServiceProviderConfig").await.expect(200).body;
    let supported = |key: &str| told[key]["supported"].as_bool().unwrap();
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let path = format!("/Groups/{}", crew["id"].as_str().unwrap());
    let own = |id: &str| json!([{ "op": "add", "path": "externalId", "value": id }]);
    assert!(supported("patch"));
    world.patch(&path, own("42")).await.expect(204);
    assert!(supported("bulk"));
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": own("43"),
    });
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "PATCH", "path": path, "data": patch },
            { "method": "DELETE", "path": path },
        ],
    });
    let done = world.post("/Bulk", bulk).await.expect(200).body;
    let statuses =
        ["0", "1"].map(|n| done["Operations"][n.parse::<usize>().unwrap()]["status"].clone());
    assert!(statuses[0].as_str().unwrap().starts_with("20"), "{done}");
    assert_eq!(statuses[1], "403", "{done}");
    assert!(supported("etag") && supported("sort") && supported("filter"));
    assert!(!supported("changePassword"));
    let now = world.get(&path).await.expect(200);
    assert_eq!(
        (&now.body["externalId"], now.version()),
        (&json!("43"), Some(4))
    );
    let sorted = world
        .get("/Users?sortBy=userName&sortOrder=descending")
        .await;
    assert_eq!(
        sorted.expect(200).body["Resources"][0]["userName"],
        "eve@example.com"
    );
}

#[tokio::test]
async fn the_schemas_say_read_only_in_the_words_of_the_refusals() {
    let world = inventory().await;
    let urn = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let schema = world.get(&format!("/Schemas/{urn}")).await.expect(200).body;
    let attributes = schema["attributes"].as_array().unwrap().clone();
    let members = attributes
        .iter()
        .find(|it| it["name"] == "members")
        .unwrap();
    assert_eq!(members["mutability"], "readOnly");
    let description = members["description"].as_str().unwrap();
    assert!(
        description.contains("Hydden.Control documents no way"),
        "{description}"
    );
}

#[tokio::test]
async fn what_changes_there_is_followed_here() {
    let mut world = inventory().await;
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let path = format!("/Groups/{}", crew["id"].as_str().unwrap());
    let own = json!([{ "op": "add", "path": "externalId", "value": "42" }]);
    world.patch(&path, own).await.expect(204);
    let before = world.get(&path).await.expect(200);
    let ben = find(&world, "Users", "userName eq \"ben@example.com\"").await;
    read_again(&mut world);
    let after = world.get(&path).await.expect(200);
    assert_eq!(after.version(), before.version(), "nothing was news");
    let same = find(&world, "Users", "userName eq \"ben@example.com\"").await;
    assert_eq!(same["meta"]["version"], ben["meta"]["version"]);

    world
        .as_administrator("DELETE", "/api/v1/accounts/acc-2", Value::Null)
        .await;
    let renamed = json!({ "name": "Old Crew", "description": "gone soon" });
    world
        .as_administrator("PUT", "/api/v1/groups/grp-2", renamed)
        .await;
    read_again(&mut world);
    let same = world.get(&path).await.expect(200).body;
    assert_eq!(same["displayName"], "Old Crew");
    assert_eq!(
        same["externalId"], "42",
        "that is the identity provider's own"
    );
    assert_eq!(ids(&same).len(), 2);
    let ben = find(&world, "Users", "userName eq \"ben@example.com\"").await;
    assert_eq!(
        ben["active"], false,
        "an account that is gone is not active"
    );

    world
        .as_administrator("DELETE", "/api/v1/groups/grp-2", Value::Null)
        .await;
    read_again(&mut world);
    world.get(&path).await.expect(404);
}

#[tokio::test]
async fn what_cannot_be_read_stays_as_it_was_and_holds_up_nothing_else() {
    let mut world = inventory().await;
    let ben = find(&world, "Users", "userName eq \"ben@example.com\"").await;
    let department = find(&world, "Groups", "displayName eq \"Department\"").await;
    let garbled = |operation: &str, id: &str| json!({ "operation": operation, "failure": { "garbled": { "ids": [id] } } });
    let rules = [
        garbled("list_accounts", "acc-2"),
        garbled("list_groups", "grp-1"),
    ];
    world.faults(json!({ "rules": rules })).await;
    let renamed = json!({ "display_name": "Cat Carter" });
    world
        .as_administrator("PUT", "/api/v1/accounts/acc-3", renamed)
        .await;
    let base = world.base.clone();
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    let all = format!("{said} {wrong}");
    assert!(
        ok && all.contains("2 users or groups are not shown"),
        "{all}"
    );
    world.start_bridge();
    let cat = find(&world, "Users", "userName eq \"cat@example.com\"").await;
    assert_eq!(cat["displayName"], "Cat Carter");
    for (path, before) in [("Users", ben), ("Groups", department)] {
        let path = format!("/{path}/{}", before["id"].as_str().unwrap());
        let after = world.get(&path).await.expect(200).body;
        // It is at another port now.
        let before = before.to_string().replace(&base, &world.base);
        assert_eq!(after.to_string(), before);
    }
}

#[tokio::test]
async fn members_whose_accounts_are_on_no_list_are_told_with_their_groups() {
    let mut world = World::of(Application::Hydden, "import = \"start\"").await;
    world.seed(company()).await;
    let left_out = json!({ "left_out": { "ids": ["acc-2"] } });
    let rule = json!({ "operation": "list_accounts", "failure": left_out });
    world.faults(json!({ "rules": [rule] })).await;
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    let told = "1 members are not shown, because the application's list of accounts does not have \
                their accounts; most in Crew (1)";
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ok && words(&said).contains(told), "{said} {wrong}");
    world.start_bridge();
    eventually("it is told", async || {
        let status = world.status().await;
        status["connections"][0]["lastImport"]["users"].is_u64()
    })
    .await;
    let crew = find(&world, "Groups", "displayName eq \"Crew\"").await;
    let last = world.status().await["connections"][0]["lastImport"].clone();
    assert_eq!(
        (&last["membersUnknown"], &last["unshown"]),
        (&json!(1), &json!(1))
    );
    let named = json!([{ "group": crew["id"], "name": "Crew", "members": 1 }]);
    assert_eq!(last["withUnknown"], named);
    let (text, _, well) = world.run(&["status"]);
    assert!(well && words(&text).contains(told), "a note: {text}");
}

pub fn read_again(world: &mut World) {
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    assert!(ok, "{said} {wrong}");
    world.start_bridge();
}

#[tokio::test]
async fn lists_are_read_to_their_end_whatever_the_size_of_a_page() {
    let mut world = World::of(Application::Hydden, "import = \"never\"").await;
    let users: Vec<Value> = (0..230)
        .map(|n| json!({ "email": format!("u{n}@example.com") }))
        .collect();
    world.seed(json!({ "users": users, "groups": [] })).await;
    world.stop_bridge();
    world.forget_calls().await;
    assert!(world.run(&["import"]).2);
    let pages = world.calls().await;
    let accounts = pages
        .iter()
        .filter(|call| call["operation"] == "list_accounts");
    assert_eq!(accounts.count(), 5, "pages of fifty: {pages:#?}");
    world.start_bridge();
    let all = world.get("/Users?count=0").await.expect(200);
    assert_eq!(all.body["totalResults"], 230);
}

#[tokio::test]
async fn it_runs_beside_another_application_in_one_process() {
    let (mut world, mut other) = World::beside(Application::Hydden).await;
    let new = world.user("new").await;
    let crew = world.group("Crew", std::slice::from_ref(&new)).await;
    assert!(world.upstream_members("crew").await.is_some());

    world.turn_to(&mut other);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let shown = loop {
        let path = "/Groups?filter=displayName%20eq%20%22All%20of%20Engineering%22";
        let found = world.get(path).await.expect(200).body["Resources"][0].clone();
        if ids(&found).len() == 8 {
            break found;
        }
        assert!(std::time::Instant::now() < end, "{found}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    for path in [format!("/Users/{new}"), format!("/Groups/{crew}")] {
        world.get(&path).await.expect(404);
    }
    let member = ids(&shown)[0].clone();
    let theirs = format!("/Groups/{}", shown["id"].as_str().unwrap());
    let leave = json!([{ "op": "remove", "path": format!("members[value eq \"{member}\"]") }]);
    refused_members(&world.patch(&theirs, leave).await.expect(400).body);

    world.turn_to(&mut other);
    world.get(&theirs).await.expect(404);
    world.get(&format!("/Users/{member}")).await.expect(404);
    let all = world.get("/Users?count=0").await.expect(200);
    assert_eq!(all.body["totalResults"], 1);
    let leave = json!([{ "op": "remove", "path": format!("members[value eq \"{new}\"]") }]);
    world
        .patch(&format!("/Groups/{crew}"), leave)
        .await
        .expect(204);
    assert_eq!(world.upstream_members("crew").await, Some(BTreeSet::new()));
}

#[tokio::test]
async fn a_check_tells_what_may_be_read() {
    let world = inventory().await;
    let (said, _, ok) = world.run(&["check"]);
    assert!(ok, "{said}");
    for right in [
        "list groups",
        "read the members of a group",
        "list accounts",
    ] {
        assert!(said.contains(&format!("the token may {right}")), "{said}");
    }
    let no = "  no       add members (documented): Hydden.Control documents no way to add";
    assert!(said.contains(no), "{said}");
    world.upstream_token("another-token-0123456789abcdef");
    let (said, _, ok) = world.run(&["check"]);
    assert!(!ok && said.contains("does not accept the token"), "{said}");
}
