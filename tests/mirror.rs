//! An application that is only shown, and whose lists are cut off now and then:
//! nothing is lost by one bad reading, what is believed to be gone is what
//! several readings miss, and what comes back is what it was.

use serde_json::{Value, json};

use crate::{
    hydden::{find, ids, read_again},
    support::{Application, World, user},
};

/// Accounts `acc-1` and on, groups `grp-1` and on with everybody in each.
async fn inventory(users: usize, groups: usize) -> World {
    let settings = "import = \"never\"\nread_lag = \"50ms\"";
    let mut world = World::of(Application::Hydden, settings).await;
    let emails: Vec<String> = (1..=users).map(|n| format!("u{n}@example.com")).collect();
    let users: Vec<Value> = emails.iter().map(|it| json!({ "email": it })).collect();
    let groups: Vec<Value> = (1..=groups)
        .map(|n| json!({ "name": format!("G{n}"), "members": emails }))
        .collect();
    let company = json!({ "users": users, "groups": groups });
    world.seed(company).await;
    read_again(&mut world);
    world
}

/// Lists without some of what is on them, for so many answers, or for ever.
fn left_out(operation: &str, ids: &[String], answers: Option<usize>) -> Value {
    json!({
        "failure": { "left_out": { "ids": ids } },
        "operation": operation,
        "next": answers,
    })
}

fn named(kind: &str, numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|n| format!("{kind}-{n}")).collect()
}

async fn count(world: &World, path: &str) -> u64 {
    let found = world.get(path).await.expect(200);
    found.body["totalResults"].as_u64().unwrap()
}

async fn active(world: &World) -> u64 {
    count(world, "/Users?count=0&filter=active%20eq%20true").await
}

async fn group(world: &World, name: &str) -> Value {
    find(world, "Groups", &format!("displayName eq \"{name}\"")).await
}

async fn give_external_id(world: &World, path: &str, id: &str) {
    let own = json!([{ "op": "add", "path": "externalId", "value": id }]);
    let answer = world.patch(path, own).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

fn path_of(resource: &Value, kind: &str) -> String {
    format!("/{kind}/{}", resource["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_page_that_one_reading_misses_is_no_loss() {
    let mut world = inventory(230, 3).await;
    let of_one_page = named("acc", 51..=100);
    let some = named("acc", 1..=40);
    world
        .faults(json!({ "rules": [
            left_out("list_accounts", &of_one_page, Some(5)),
            left_out("list_groups", &named("grp", 2..=2), Some(1)),
            left_out("get_members", &some, Some(2)),
        ]}))
        .await;
    let before = group(&world, "G2").await;
    world.forget_calls().await;
    read_again(&mut world);
    let calls = world.calls().await;
    let of = |operation: &str| calls.iter().filter(|c| c["operation"] == operation).count();
    assert_eq!(
        of("list_accounts"),
        10,
        "what is missing is looked for again"
    );
    assert_eq!(of("list_groups"), 2);
    assert_eq!(active(&world).await, 230);
    let after = group(&world, "G2").await;
    assert_eq!(after["meta"]["version"], before["meta"]["version"]);
    assert_eq!((&after["id"], ids(&after)), (&before["id"], ids(&before)));
}

#[tokio::test]
async fn a_list_that_alternates_loses_nothing() {
    let mut world = inventory(40, 4).await;
    let halves = [named("acc", 1..=20), named("acc", 21..=40)];
    let groups = [named("grp", 1..=2), named("grp", 3..=4)];
    for turn in 0..3 {
        let (one, other) = (turn % 2, (turn + 1) % 2);
        world
            .faults(json!({ "rules": [
                left_out("list_accounts", &halves[one], Some(1)),
                left_out("list_accounts", &halves[other], Some(1)),
                left_out("list_groups", &groups[one], Some(1)),
                left_out("list_groups", &groups[other], Some(1)),
                left_out("get_members", &halves[one], Some(2)),
                left_out("get_members", &halves[other], None),
            ]}))
            .await;
        read_again(&mut world);
        assert_eq!(active(&world).await, 40, "turn {turn}");
        assert_eq!(count(&world, "/Groups?count=0").await, 4, "turn {turn}");
        for name in ["G1", "G2", "G3", "G4"] {
            assert_eq!(ids(&group(&world, name).await).len(), 40, "turn {turn}");
        }
    }
}

#[tokio::test]
async fn what_both_readings_miss_is_gone_and_comes_back_as_it_was() {
    let mut world = inventory(20, 3).await;
    let crew = group(&world, "G2").await;
    let ann = find(&world, "Users", "userName eq \"u3@example.com\"").await;
    let (crews, anns) = (path_of(&crew, "Groups"), path_of(&ann, "Users"));
    give_external_id(&world, &crews, "crew-42").await;
    give_external_id(&world, &anns, "ann-42").await;
    let before = world.get(&crews).await.expect(200);
    world
        .faults(json!({ "rules": [
            left_out("list_accounts", &named("acc", 3..=3), None),
            left_out("list_groups", &named("grp", 2..=2), None),
            left_out("get_members", &named("acc", 3..=3), None),
        ]}))
        .await;
    read_again(&mut world);
    world.get(&crews).await.expect(404);
    let shown = world.get(&anns).await.expect(200).body;
    assert_eq!(
        (&shown["active"], &shown["externalId"]),
        (&json!(false), &json!("ann-42"))
    );
    assert_eq!(ids(&group(&world, "G1").await).len(), 19);

    world.faults(json!({})).await;
    read_again(&mut world);
    let after = world.get(&crews).await.expect(200);
    for key in ["displayName", "externalId", "id"] {
        assert_eq!(after.body[key], before.body[key], "{key}");
    }
    assert_eq!(ids(&after.body), ids(&before.body));
    assert!(after.version() > before.version());
    let shown = world.get(&anns).await.expect(200).body;
    assert_eq!(
        (&shown["active"], &shown["externalId"]),
        (&json!(true), &json!("ann-42"))
    );
    assert_eq!(ids(&group(&world, "G1").await).len(), 20);
}

/// As if the last reading had been ten minutes ago.
const TEN_MINUTES_LATER: &str = "UPDATE connections SET doubts = json_set(doubts, \
    '$[0].counted', json_extract(doubts, '$[0].counted') - 600000)";

#[tokio::test]
async fn more_than_half_is_believed_when_three_imports_ten_minutes_apart_agree() {
    let mut world = inventory(30, 2).await;
    let most = named("acc", 1..=20);
    let rules = json!({ "rules": [left_out("list_accounts", &most, None)] });
    world.faults(rules.clone()).await;
    for import in 1..=3 {
        world.stop_bridge();
        if import > 1 {
            world.tamper(TEN_MINUTES_LATER);
        }
        let (said, wrong, ok) = world.run(&["import"]);
        assert!(ok, "{said} {wrong}");
        let doubted = said.contains("20 users, groups or memberships are not there any more");
        assert_eq!(doubted, import < 3, "{said}");
        world.start_bridge();
        let left = if import < 3 { 30 } else { 10 };
        assert_eq!(active(&world).await, left, "import {import}");
    }
    // One that shows everything in between is a new beginning.
    world.faults(json!({})).await;
    read_again(&mut world);
    assert_eq!(active(&world).await, 30);
    world.faults(rules).await;
    read_again(&mut world);
    assert_eq!(active(&world).await, 30);
}

#[tokio::test]
async fn an_operator_can_believe_it_at_once_and_sees_that_it_is_doubted() {
    let mut world = inventory(12, 12).await;
    let rules = json!({ "rules": [
        left_out("list_groups", &named("grp", 1..=12), None),
        left_out("list_accounts", &named("acc", 1..=7), None),
    ]});
    world.faults(rules).await;
    world.stop_bridge();
    world.reconfigure(|text| text.replace("import = \"never\"", "import = \"start\""));
    world.start_bridge();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let last = loop {
        let status = world.status().await;
        let last = status["connections"][0]["lastImport"].clone();
        if last.is_object() {
            break last;
        }
        assert!(std::time::Instant::now() < end, "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(last["doubted"], 19, "{last}");
    assert_eq!(count(&world, "/Groups?count=0").await, 12);
    let (said, _, _) = world.run(&["status"]);
    assert!(said.contains("19 are not there any more"), "{said}");
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import", "--shrunk"]);
    assert!(ok && !said.contains("not there"), "{said} {wrong}");
    world.start_bridge();
    assert_eq!(count(&world, "/Groups?count=0").await, 0);
    assert_eq!(active(&world).await, 5);
}

#[tokio::test]
async fn groups_and_accounts_whose_names_compare_equal_are_all_shown() {
    let mut world = inventory(2, 1).await;
    for name in ["ｇ１", "ｇ１ (grp-4)", "Straße"] {
        let group = json!({ "name": name });
        world
            .as_administrator("POST", "/api/v1/groups", group)
            .await;
    }
    let twin = json!({ "name": "ｕ１", "email": "Ｕ1@example.com" });
    world
        .as_administrator("POST", "/api/v1/accounts", twin)
        .await;
    read_again(&mut world);
    assert_eq!(count(&world, "/Groups?count=0").await, 4);
    assert_eq!(count(&world, "/Users?count=0").await, 3);
}

#[tokio::test]
async fn a_name_that_an_identity_provider_has_here_is_counted_where_nothing_is_only_shown() {
    let mut world = World::start().await;
    let mut wide = user("wide");
    wide["userName"] = "ｚｏｅ@example.com".into();
    world.post("/Users", wide).await.expect(201);
    world
        .seed(json!({ "users": [{ "email": "zoe@example.com" }], "groups": [] }))
        .await;
    world.stop_bridge();
    let (said, wrong, ok) = world.run(&["import"]);
    assert!(ok, "{said} {wrong}");
    assert!(said.contains("1 users or groups are not shown"), "{said}");
    assert!(wrong.contains("not shown"), "and logged: {wrong}");
    world.start_bridge();
    assert_eq!(count(&world, "/Users?count=0").await, 1);
}

#[tokio::test]
async fn a_group_whose_members_cannot_be_read_stays_as_it_was_and_stops_nothing_else() {
    for failure in [
        json!({ "status": { "status": 403 } }),
        json!({ "status": { "status": 404 } }),
        json!({ "status": { "status": 500 } }),
        json!("wrong_types"),
    ] {
        let mut world = inventory(10, 3).await;
        let rules = json!({ "rules": [
            { "operation": "get_members", "target": "grp-1", "failure": failure },
            left_out("list_accounts", &named("acc", 4..=4), None),
            left_out("get_members", &named("acc", 4..=4), None),
        ]});
        world.faults(rules).await;
        let newcomer = json!({ "name": "new", "email": "new@example.com" });
        world
            .as_administrator("POST", "/api/v1/accounts", newcomer)
            .await;
        world.stop_bridge();
        let (said, wrong, ok) = world.run(&["import"]);
        assert!(ok, "{said} {wrong}");
        assert!(said.contains("  G1, grp-1: "), "{failure}: {said}");
        world.start_bridge();
        // Who left has, everywhere else, and who came is here.
        for (name, members) in [("G1", 10), ("G2", 9), ("G3", 9)] {
            let shown = ids(&group(&world, name).await).len();
            assert_eq!(shown, members, "{name}, {failure}");
        }
        let gone = find(&world, "Users", "userName eq \"u4@example.com\"").await;
        assert_eq!(gone["active"], false, "{failure}");
        find(&world, "Users", "userName eq \"new@example.com\"").await;

        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (checked, text) = world.command(&["check"]);
        let text = words(&text);
        let told = "the members of the group G1, grp-1 cannot be read";
        assert!(!checked && text.contains(told), "{failure}: {text}");
        assert!(text.contains("the members of 2 of them"), "{text}");
        assert!(!text.contains("the token may not"), "{failure}: {text}");

        world.faults(json!({})).await;
        read_again(&mut world);
        assert_eq!(ids(&group(&world, "G1").await).len(), 10, "{failure}");
        world.overlook().await;
    }
}
