//! Users who are linked to accounts that were there already, in groups of which an import
//! knew only how many are in them: where no account can be ended, access that should be
//! gone is gone, also where nobody has read yet what it is (reliability: I-13, I-14).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Application, World, address, eventually, user};

const SOON: &str = "read_lag = \"100ms\"\nsync_wait = \"10s\"";
const BOTH: [Application; 2] = [Application::DeclaredLinked, Application::DeclaredFound];

fn addresses(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| address(name)).collect()
}

fn active(value: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": value }])
}

fn without(id: &str) -> Value {
    json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }])
}

async fn by_hand(world: &World, group: &str, name: &str) {
    let path = format!("/api/v2/groupmanagement/group/{group}/members");
    let body = json!({ "members": [address(name)] });
    world.as_administrator("POST", &path, body).await;
}

async fn account(world: &World, name: &str) {
    let account = json!({
        "email": address(name), "firstName": name, "lastName": "Example", "siteRole": "Users",
    });
    let path = "/api/v2/usermanagement/user";
    world.as_administrator("POST", path, account).await;
}

/// An import has read the groups; after that three accounts came, the first and the second
/// of which are in all three groups, and are linked. Their ids.
async fn linked(application: Application, rules: &str) -> (World, Vec<String>) {
    let mut world = World::of(application, rules).await;
    let old = json!({ "email": address("old"), "first_name": "old", "last_name": "Example" });
    let group = |name| json!({ "name": name, "members": [address("old")] });
    let groups = ["crew", "dev", "ops"].map(group);
    let company = json!({ "users": [old], "groups": groups });
    world.seed(company).await;
    world.import();
    let mut ids = Vec::new();
    for name in ["ann", "ben", "cat"] {
        account(&world, name).await;
        if name != "cat" {
            for group in ["crew", "dev", "ops"] {
                by_hand(&world, group, name).await;
            }
        }
        let made = world.post("/Users", user(name)).await.expect(201);
        ids.push(made.id());
    }
    (world, ids)
}

async fn group(world: &World, name: &str) -> String {
    let path = format!("/Groups?filter=displayName%20eq%20%22{name}%22");
    let found = world.get(&path).await.expect(200).body;
    let id = found["Resources"][0]["id"].as_str();
    format!(
        "/Groups/{}",
        id.unwrap_or_else(|| panic!("{name}: {found}"))
    )
}

async fn until_everywhere_are(world: &World, names: &[&str]) {
    for group in ["crew", "dev", "ops"] {
        world.until_upstream_has(group, &addresses(names)).await;
    }
}

/// How often the groups were listed, as a reading of all begins.
fn lists(calls: &[Value]) -> usize {
    let list = |call: &&Value| {
        let path = call["path"].as_str().unwrap_or_default();
        call["method"] == "GET" && path.ends_with("/groups")
    };
    calls.iter().filter(list).count()
}

/// How often the members of groups were read.
fn readings(calls: &[Value]) -> usize {
    let read = |call: &&Value| {
        let path = call["path"].as_str().unwrap_or_default();
        call["method"] == "GET" && path.ends_with("/members")
    };
    calls.iter().filter(read).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_linked_since_the_last_import_loses_what_they_had_by_one_reading_for_all() {
    for application in BOTH {
        let (world, ids) = linked(application, SOON).await;
        let path = format!("/Users/{}", ids[0]);
        let (answer, calls) = world.calls_of(world.patch(&path, active(false))).await;
        answer.expect(200);
        assert_eq!((lists(&calls), readings(&calls)), (1, 3), "{calls:#?}");
        let path = format!("/Users/{}", ids[1]);
        let (answer, calls) = world.calls_of(world.send("DELETE", &path, None)).await;
        answer.expect(204);
        // But for the look at what was only found there is none for the second.
        assert_eq!(lists(&calls), 0, "{calls:#?}");
        // The answer waits for it.
        for group in ["crew", "dev", "ops"] {
            let there = world.upstream_members(group).await;
            assert_eq!(there, Some(addresses(&["old"])), "{group}");
        }
        assert!(world.run(&["status"]).2);

        // What the first had is given back, and nothing else.
        let path = format!("/Users/{}", ids[0]);
        world.patch(&path, active(true)).await.expect(200);
        until_everywhere_are(&world, &["old", "ann"]).await;
        // And is known now, so that nothing has to be read.
        let again = async {
            world.patch(&path, active(false)).await.expect(200);
            let path = format!("/Users/{}", ids[2]);
            world.send("DELETE", &path, None).await.expect(204);
        };
        let ((), calls) = world.calls_of(again).await;
        assert_eq!(readings(&calls), 0, "{calls:#?}");
        until_everywhere_are(&world, &["old"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_access_is_open_until_the_groups_could_be_read_also_after_a_kill() {
    for application in BOTH {
        let rules = "read_lag = \"100ms\"\nsync_wait = \"300ms\"";
        let (mut world, ids) = linked(application, rules).await;
        let broken =
            json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
        world.faults(broken).await;
        let path = format!("/Users/{}", ids[0]);
        world.patch(&path, active(false)).await.expect(200);
        let path = format!("/Users/{}", ids[1]);
        world.send("DELETE", &path, None).await.expect(204);
        assert!(!world.run(&["status"]).2, "told as done");
        world.kill_and_restart();
        assert!(!world.run(&["status"]).2, "told as done after a kill");
        let there = world.upstream_members("crew").await;
        assert_eq!(there, Some(addresses(&["old", "ann", "ben"])));
        world.faults(json!({})).await;
        until_everywhere_are(&world, &["old"]).await;
        eventually("well", async || world.run(&["status"]).2).await;
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_list_and_a_removal_reach_who_was_only_counted_and_strangers_stay() {
    let mut world = World::of(Application::DeclaredFound, SOON).await;
    let names = ["ann", "ben", "cat", "dan"];
    let user_of =
        |name| json!({ "email": address(name), "first_name": name, "last_name": "Example" });
    let members = names.map(address);
    let group_of = |name| json!({ "name": name, "members": members });
    let groups = ["crew", "dev"].map(group_of);
    let company = json!({ "users": names.map(user_of), "groups": groups });
    world.seed(company).await;
    world.import();
    let mut ids = Vec::new();
    for name in ["ann", "ben", "cat"] {
        ids.push(world.post("/Users", user(name)).await.expect(201).id());
    }
    let (crew, dev) = (group(&world, "crew").await, group(&world, "dev").await);
    world.patch(&dev, without(&ids[0])).await.expect(204);
    let left = Some(addresses(&["ben", "cat", "dan"]));
    assert_eq!(world.upstream_members("dev").await, left);
    // Once it is known, nothing is read for that any more.
    let more = world.patch(&dev, without(&ids[1]));
    let (answer, calls) = world.calls_of(more).await;
    answer.expect(204);
    assert_eq!(readings(&calls), 0, "{calls:#?}");
    let list = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "crew",
        "members": [{ "value": ids[2] }],
    });
    world.put(&crew, list).await.expect(200);
    let left = Some(addresses(&["cat", "dan"]));
    assert_eq!(world.upstream_members("crew").await, left);

    // In a bulk request, too; and nothing is told as done that cannot be known.
    let eve = {
        account(&world, "eve").await;
        by_hand(&world, "dev", "eve").await;
        world.post("/Users", user("eve")).await.expect(201).id()
    };
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{ "method": "PATCH", "path": dev, "data": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": without(&eve),
        } }],
    });
    let broken = json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
    world.faults(broken).await;
    world.patch(&dev, without(&eve)).await.expect(503);
    let told = world.post("/Bulk", bulk.clone()).await.expect(200).body;
    assert_eq!(told["Operations"][0]["status"], "503", "{told}");
    world.faults(json!({})).await;
    world.overlook().await;
    let told = world.post("/Bulk", bulk).await.expect(200).body;
    assert_eq!(told["Operations"][0]["status"], "204", "{told}");
    let left = Some(addresses(&["cat", "dan"]));
    assert_eq!(world.upstream_members("dev").await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_list_reaches_who_came_into_a_group_after_it_was_read_and_was_linked_then() {
    for application in BOTH {
        let (world, _) = linked(application, SOON).await;
        let stay: &[&str] = match application {
            Application::DeclaredFound => &["old"],
            _ => &[],
        };
        let list = |members: Value| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                "displayName": "crew", "members": members,
            })
        };
        let (crew, dev) = (group(&world, "crew").await, group(&world, "dev").await);
        let broken =
            json!({ "rules": [{ "failure": "error_before", "operation": "get_members" }] });
        world.faults(broken).await;
        world.put(&crew, list(json!([]))).await.expect(503);
        world.faults(json!({})).await;
        world.put(&crew, list(json!([]))).await.expect(200);
        assert_eq!(world.upstream_members("crew").await, Some(addresses(stay)));
        let none = json!([{ "op": "replace", "path": "members", "value": [] }]);
        world.patch(&dev, none).await.expect(204);
        assert_eq!(world.upstream_members("dev").await, Some(addresses(stay)));
        // It is known by then.
        let again = world.put(&crew, list(json!([])));
        let (answer, calls) = world.calls_of(again).await;
        answer.expect(200);
        assert_eq!(readings(&calls), 0, "{calls:#?}");
        world.overlook().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_somebody_put_into_a_group_before_they_were_deleted_the_next_import_takes_out() {
    for application in BOTH {
        let (mut world, ids) = linked(application, SOON).await;
        // Both are read with the first.
        let path = format!("/Users/{}", ids[0]);
        world.patch(&path, active(false)).await.expect(200);
        by_hand(&world, "crew", "cat").await;
        let path = format!("/Users/{}", ids[2]);
        world.send("DELETE", &path, None).await.expect(204);
        world.import();
        until_everywhere_are(&world, &["old", "ben"]).await;
        let filter = format!("/Users?filter=userName%20eq%20%22{}%22", address("cat"));
        let found = world.get(&filter).await.expect(200).body;
        assert_eq!(found["totalResults"], 0, "{found}");
        eventually("well", async || world.run(&["status"]).2).await;
        // Made anew it waits for nothing.
        let made = world.post("/Users", user("cat")).await.expect(201).body;
        assert_eq!(made["active"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_ever_imported_a_linked_leaver_loses_what_they_have() {
    let world = World::of(Application::DeclaredLinked, SOON).await;
    let ann = json!({ "email": address("ann"), "first_name": "ann", "last_name": "Example" });
    let crew = json!({ "name": "crew", "members": [address("ann")] });
    world
        .seed(json!({ "users": [ann], "groups": [crew] }))
        .await;
    let id = world.post("/Users", user("ann")).await.expect(201).id();
    let path = format!("/Users/{id}");
    world.patch(&path, active(false)).await.expect(200);
    assert_eq!(world.upstream_members("crew").await, Some(addresses(&[])));
}
