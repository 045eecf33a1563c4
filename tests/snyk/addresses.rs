//! Addresses: a user who is linked to an account keeps the one that the account
//! has in Snyk, and of an address that several accounts have it is told whose
//! user it is.

use super::*;

fn renaming(address: &str) -> Value {
    let emails = json!([{ "value": address, "type": "work", "primary": true }]);
    json!([{ "op": "replace", "value": { "userName": address, "emails": emails } }])
}

/// The company, in which somebody has another address.
fn moved(from: &str, to: &str) -> Value {
    let text = company().to_string();
    text.replace(&address(from), &address(to)).parse().unwrap()
}

#[tokio::test]
async fn who_is_linked_keeps_its_address_and_may_change_everything_else() {
    let world = snyk().await;
    let mel = format!("/Users/{}", id_of_user(&world, "mel").await);
    let before = world.get(&mel).await.expect(200).body;
    let refused = world.patch(&mel, renaming(&address("new"))).await;
    assert_eq!(refused.body["scimType"], "mutability", "{:?}", refused.body);
    reason(refused, 400, "Snyk documents no way to change a user");
    let mut whole = user("new");
    whole["emails"] = json!([{ "value": address("new") }]);
    reason(world.put(&mel, whole).await, 400, "cannot be changed");
    assert_eq!(world.get(&mel).await.expect(200).body, before);

    let upper = address("mel").to_uppercase();
    world.patch(&mel, renaming(&upper)).await.expect(200);
    let title = json!([{ "op": "replace", "path": "title", "value": "Lead" }]);
    world.patch(&mel, title).await.expect(200);
    // Another name is no other address.
    let name = json!([{ "op": "replace", "path": "userName", "value": "mel@corp.example.net" }]);
    world.patch(&mel, name).await.expect(200);
    let no_emails = json!([{ "op": "remove", "path": "emails" }]);
    world.patch(&mel, no_emails).await.expect(200);
    activate(&world, mel.trim_start_matches("/Users/"), false)
        .await
        .expect(200);
    assert!(roles(&world, "mel").await.is_empty());
}

#[tokio::test]
async fn another_address_is_none_in_several_steps_either() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    let path = format!("/Users/{mel}");
    let name = json!([{ "op": "replace", "path": "userName", "value": address("zed") }]);
    world.patch(&path, name).await.expect(200);
    let no_emails = json!([{ "op": "remove", "path": "emails" }]);
    world.patch(&path, no_emails).await.expect(200);
    let emails = |name: &str| {
        let one = json!([{ "value": address(name), "primary": true }]);
        json!([{ "op": "add", "path": "emails", "value": one }])
    };
    for name in ["zed", "vic"] {
        let refused = world.patch(&path, emails(name)).await;
        reason(refused, 400, "cannot be changed");
    }
    let mut whole = user("other");
    whole.as_object_mut().unwrap().remove("emails");
    reason(world.put(&path, whole).await, 400, "cannot be changed");

    // Whoever comes back by being active alone does.
    activate(&world, &mel, false).await.expect(200);
    assert!(roles(&world, "mel").await.is_empty());
    activate(&world, &mel, true).await.expect(200);
    world.patch(&path, emails("mel")).await.expect(200);
}

#[tokio::test]
async fn an_address_that_the_account_has_by_now_is_taken() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    world.seed(moved("mel", "married")).await;
    let path = format!("/Users/{mel}");
    let somebody_elses = world.patch(&path, renaming(&address("vic"))).await;
    reason(somebody_elses, 400, "cannot be changed");
    world
        .patch(&path, renaming(&address("married")))
        .await
        .expect(200);
    activate(&world, &mel, false).await.expect(200);
    assert!(roles(&world, "married").await.is_empty());
}

#[tokio::test]
async fn a_plan_follows_the_address_that_the_account_has_by_now_and_changes_nothing() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    let path = format!("/Users/{mel}");
    let before = world.get(&path).await.expect(200).body;
    let told = |to: &str| {
        let mut request = json!({ "method": "PATCH", "path": path });
        request["body"] = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": renaming(&address(to)),
        });
        let file = world.file("renaming.json", &request.to_string());
        let (said, wrong, ok) = world.run(&["plan", "--connection", "acme", "--request", &file]);
        assert!(ok, "{wrong}");
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let refused = told("married");
    assert_eq!(refused["answers"][0]["status"], 400, "{refused:#}");
    assert_eq!(refused["followsAddress"], json!([]));
    world.seed(moved("mel", "married")).await;
    let (audit, ..) = world.run(&["audit", "export"]);
    let done = told("married");
    // An imported user has the address with it.
    assert_eq!(done["answers"][0]["answer"], "nothing to do", "{done:#}");
    assert_eq!(done["followsAddress"], json!([mel]));
    assert_eq!(world.run(&["audit", "export"]).0, audit);
    assert_eq!(world.get(&path).await.expect(200).body, before);
    // Where nobody can be asked it is not told as refused for good.
    let away = json!({ "rules": [{ "failure": { "status": { "status": 503 } } }] });
    world.faults(away).await;
    let unread = told("married");
    assert_eq!(unread["answers"][0]["status"], 503, "{unread:#}");
    world.faults(json!({})).await;
}

#[tokio::test]
async fn who_leaves_with_another_address_is_out_and_comes_back_with_the_one_of_the_account() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    let mut leaving = user("left");
    leaving["emails"] = json!([{ "value": address("left") }]);
    leaving["active"] = json!(false);
    let path = format!("/Users/{mel}");
    let left = world.put(&path, leaving).await.expect(200).body;
    assert_eq!(left["active"], false);
    assert!(roles(&world, "mel").await.is_empty());
    for told in ["cannot be changed", "write that address back"] {
        reason(activate(&world, &mel, true).await, 400, told);
    }
    assert!(roles(&world, "mel").await.is_empty());
    let mut back = renaming(&address("mel"));
    back[0]["value"]["active"] = json!(true);
    let shown = world.patch(&path, back).await.expect(200).body;
    assert_eq!(shown["active"], true);
    // Or first the one and then the other.
    let mut leaving = user("left");
    leaving["active"] = json!(false);
    world.put(&path, leaving).await.expect(200);
    world
        .patch(&path, renaming(&address("mel")))
        .await
        .expect(200);
    activate(&world, &mel, true).await.expect(200);
}

#[tokio::test]
async fn who_has_not_appeared_may_change_its_address() {
    let world = snyk().await;
    let new = format!("/Users/{}", world.user("new").await);
    world
        .patch(&new, renaming(&address("newer")))
        .await
        .expect(200);
}

/// The address is also that of an account that was made last, which has what the
/// teams give it; the first one of it views Example.
async fn share(world: &World, name: &str) -> (String, String) {
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    let place = users.iter().position(|it| it["email"] == address(name));
    users.push(json!({ "email": address(name) }));
    let account = |n: usize| format!("20000000-0000-4000-8000-{n:012x}");
    let (first, second) = (account(place.unwrap() + 1), account(users.len()));
    world.seed(company).await;
    let group = format!("10000000-0000-4000-8000-{:012x}", 1);
    let one = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    let role = format!("30000000-0000-4000-8000-{:012x}", 3);
    let membership = json!({ "data": { "type": "group_membership", "relationships": {
        "group": one("group", &group),
        "user": one("user", &first),
        "role": one("group_role", &role),
    } } });
    let path = format!("/rest/groups/{group}/memberships?version=2025-11-05");
    world.as_administrator("POST", &path, membership).await;
    (first, second)
}

pub async fn told(world: &World) -> Value {
    world.status().await["connections"][0]["sameAddress"].clone()
}

#[tokio::test]
async fn who_is_deactivated_or_deleted_is_out_with_every_account_of_the_address() {
    for deleted in [false, true] {
        let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
        let lou = id_of_user(&world, "lou").await;
        let (first, second) = share(&world, "lou").await;
        world.import();
        let both = json!([{ "user": lou, "ended": false, "accounts": [first, second] }]);
        assert_eq!(told(&world).await, both);
        assert_eq!(roles(&world, "lou").await.len(), 2);
        let path = format!("/Users/{lou}");
        if deleted {
            world.send("DELETE", &path, None).await.expect(204);
        } else {
            activate(&world, &lou, false).await.expect(200);
        }
        assert!(roles(&world, "lou").await.is_empty(), "deleted: {deleted}");
        assert_eq!(told(&world).await, json!([]));
        if !deleted {
            activate(&world, &lou, true).await.expect(200);
            world.import();
            assert_eq!(told(&world).await, json!([]));
        }
    }
}

#[tokio::test]
async fn the_end_of_every_account_of_the_address_outlives_a_kill() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let lou = id_of_user(&world, "lou").await;
    share(&world, "lou").await;
    world.import();
    world.run(&["pause"]);
    eventually("nothing is sent", async || {
        world.status().await["connections"][0]["paused"] == true
    })
    .await;
    activate(&world, &lou, false).await.expect(200);
    assert_eq!(told(&world).await[0]["ended"], true);
    world.kill_and_restart();
    assert_eq!(told(&world).await[0]["ended"], true);
    world.run(&["resume"]);
    eventually("all of it is gone", async || {
        roles(&world, "lou").await.is_empty() && told(&world).await == json!([])
    })
    .await;
}

#[tokio::test]
async fn an_account_that_appears_for_who_left_is_told_and_out_with_the_next_import() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let mel = id_of_user(&world, "mel").await;
    activate(&world, &mel, false).await.expect(200);
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("mel") }));
    let account = format!("20000000-0000-4000-8000-{:012x}", users.len());
    world.seed(company).await;
    assert_eq!(roles(&world, "mel").await.len(), 2);
    world.run(&["pause"]);
    world.import();
    let left = json!([{ "user": mel, "ended": true, "accounts": [account] }]);
    assert_eq!(told(&world).await, left);
    let (said, _, well) = world.run(&["status"]);
    let said: Vec<&str> = said.split_whitespace().collect();
    assert!(
        !well && said.join(" ").contains("must have nothing"),
        "{said:?}"
    );
    world.kill_and_restart();
    assert_eq!(told(&world).await, left);
    world.run(&["resume"]);
    eventually("it is out", async || {
        roles(&world, "mel").await.is_empty() && told(&world).await == json!([])
    })
    .await;
    let shown = world.get(&format!("/Users/{mel}")).await.expect(200).body;
    assert_eq!(shown["active"], false);
}

/// The company and so many more accounts with the address, which have what the
/// teams give it.
pub fn with_more(name: &str, more: usize) -> (Value, Vec<String>) {
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    let before = users.len();
    users.extend((0..more).map(|_| json!({ "email": address(name) })));
    let account = |n: usize| format!("20000000-0000-4000-8000-{n:012x}");
    let accounts = (before..before + more).map(|n| account(n + 1)).collect();
    (company, accounts)
}

async fn nothing_is_open(world: &World) {
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    eventually("nothing is open", async || {
        world.status().await["connections"][0]["pending"] == nothing
    })
    .await;
}

#[tokio::test]
async fn an_account_that_appears_for_who_was_deleted_is_told_and_out_with_the_next_import() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let mel = id_of_user(&world, "mel").await;
    let path = format!("/Users/{mel}");
    world.send("DELETE", &path, None).await.expect(204);
    nothing_is_open(&world).await;
    // It can still sign in, and no reading is so old that it could be of before.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let is_shown = async |world: &World| {
        let named = format!("/Users?filter=userName%20eq%20%22{}%22", address("mel"));
        world.get(&named).await.expect(200).body["totalResults"] != 0
    };
    world.import();
    assert!(!is_shown(&world).await, "it is nobody new");
    let (company, accounts) = with_more("mel", 1);
    world.seed(company).await;
    world.run(&["pause"]);
    world.import();
    let left = json!([{ "user": mel, "ended": true, "accounts": accounts }]);
    assert_eq!(told(&world).await, left);
    assert!(!is_shown(&world).await, "nor is the other one");
    world.kill_and_restart();
    assert_eq!(told(&world).await, left);
    world.run(&["resume"]);
    let out = async || roles(&world, "mel").await.is_empty() && told(&world).await == json!([]);
    eventually("it is out", out).await;
    nothing_is_open(&world).await;
    world.get(&path).await.expect(404);
    // Another one, later still.
    let (company, _) = with_more("mel", 2);
    world.seed(company).await;
    world.import();
    let out = async || roles(&world, "mel").await.is_empty() && told(&world).await == json!([]);
    eventually("it is out again", out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_rails_keep_of_who_was_deleted_goes_at_once_when_an_operator_says_so() {
    let rails = "read_lag = \"1s\"\nguard = { enabled = true, \
                 removals = { more_than = 1, percent = 1, within = \"1h\" } }";
    let mut world = snyk_with(rails, LINK).await;
    let mel = id_of_user(&world, "mel").await;
    let path = format!("/Users/{mel}");
    world.send("DELETE", &path, None).await.expect(204);
    nothing_is_open(&world).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (company, accounts) = with_more("mel", 1);
    world.seed(company).await;
    world.import();
    let left = json!([{ "user": mel, "ended": true, "accounts": accounts }]);
    assert_eq!(told(&world).await, left);
    // Much is gone and much has come: an operator knows better.
    world.command(&["recovery", "end", "--connection", "acme"]);
    world.command(&["reconcile", "--apply"]);
    assert_eq!(told(&world).await, left);
    assert_eq!(roles(&world, "mel").await.len(), 2);
    let (_, said) = world.command(&["reconcile", "--apply", "--shrunk"]);
    assert!(said.contains("1 users who left"), "{said}");
    let out = async || roles(&world, "mel").await.is_empty() && told(&world).await == json!([]);
    eventually("it is out", out).await;
    nothing_is_open(&world).await;
}

#[tokio::test]
async fn an_account_of_an_address_that_somebody_has_again_is_theirs() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let mel = id_of_user(&world, "mel").await;
    let path = format!("/Users/{mel}");
    world.send("DELETE", &path, None).await.expect(204);
    let (mut company, accounts) = with_more("mel", 1);
    company["users"][2]["email"] = address("gone").into();
    world.seed(company).await;
    let again = world.user("mel").await;
    world.import();
    assert_eq!(roles(&world, "mel").await.len(), 2);
    assert_eq!(told(&world).await, json!([]));
    let viewer = role(&world, VIEWER).await;
    world.forget_calls().await;
    add(&world, &viewer, &again).await.expect(204);
    let calls = Value::from(world.calls().await).to_string();
    assert!(calls.contains(&accounts[0]), "{calls}");
}

#[tokio::test]
async fn who_left_before_any_account_appeared_is_out_when_some_do() {
    for (deleted, more) in [(false, 1), (false, 2), (true, 2)] {
        let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
        let id = world.user("new").await;
        if deleted {
            let path = format!("/Users/{id}");
            world.send("DELETE", &path, None).await.expect(204);
            nothing_is_open(&world).await;
            world.import();
        } else {
            activate(&world, &id, false).await.expect(200);
        }
        let (mut company, _) = with_more("new", more);
        let teams = company["groups"].as_array_mut().unwrap();
        let members = teams[2]["members"].as_array_mut().unwrap();
        members.push(address("new").into());
        world.seed(company).await;
        assert_eq!(roles(&world, "new").await, just(MEMBER));
        world.import();
        let what = format!("nothing is left; deleted: {deleted}, accounts: {more}");
        eventually(&what, async || {
            roles(&world, "new").await.is_empty() && told(&world).await == json!([])
        })
        .await;
    }
}

#[tokio::test]
async fn an_address_that_was_handed_on_is_somebody_else_s() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let dan = id_of_user(&world, "dan").await;
    reason(activate(&world, &dan, false).await, 400, "organizations");
    let vic = id_of_user(&world, "vic").await;
    activate(&world, &vic, false).await.expect(200);
    // Her account is called otherwise now and was let in again; the address is
    // somebody else's.
    let mut company = moved("vic", "married");
    let users = company["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("vic") }));
    let teams = company["groups"].as_array_mut().unwrap();
    teams[2]["members"]
        .as_array_mut()
        .unwrap()
        .push(address("vic").into());
    world.seed(company).await;
    world.import();
    assert_eq!(roles(&world, "vic").await, just(MEMBER), "not touched");
    assert_eq!(told(&world).await, json!([]));
}

#[tokio::test]
async fn a_reconciliation_leaves_a_user_linked_to_the_account_that_it_was() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let vic = id_of_user(&world, "vic").await;
    let (first, _) = share(&world, "vic").await;
    world.import();
    world.run(&["reconcile", "--apply"]);
    let labs = role_of(&world, "Labs", MEMBER).await;
    world.forget_calls().await;
    add(&world, &labs, &vic).await.expect(204);
    let calls = world.calls().await;
    let made = calls
        .iter()
        .find(|it| it["operation"] == "create_membership");
    let body = made.unwrap()["body"].to_string();
    assert!(body.contains(&first), "{first} in {body}");
}

#[tokio::test]
async fn an_address_that_the_account_has_by_now_is_taken_in_bulk_too() {
    let world = snyk().await;
    let (mel, vic) = (
        id_of_user(&world, "mel").await,
        id_of_user(&world, "vic").await,
    );
    world.seed(moved("mel", "married")).await;
    let change = |id: &str, to: &str| {
        json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": renaming(&address(to)),
        } })
    };
    let request = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [change(&vic, "other"), change(&mel, "married")],
    });
    let done = world.post("/Bulk", request).await.expect(200).body;
    let statuses = ["400", "200"].map(Value::from);
    for (at, status) in statuses.into_iter().enumerate() {
        assert_eq!(done["Operations"][at]["status"], status, "{done}");
    }
    activate(&world, &mel, false).await.expect(200);
    assert!(roles(&world, "married").await.is_empty());
}

#[tokio::test]
async fn an_address_of_which_it_cannot_be_told_now_may_be_asked_for_again() {
    let world = snyk_with("sync_wait = \"1s\"", LINK).await;
    let mel = id_of_user(&world, "mel").await;
    world.seed(moved("mel", "married")).await;
    let down = json!({ "rules": [{ "failure": { "status": { "status": 503 } } }] });
    world.faults(down).await;
    let path = format!("/Users/{mel}");
    let married = renaming(&address("married"));
    let refused = world.patch(&path, married.clone()).await;
    reason(refused, 503, "could not be read");
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{ "method": "PATCH", "path": path, "data": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": married,
        } }],
    });
    let refused = world.post("/Bulk", bulk.clone()).await.expect(200).body;
    assert_eq!(refused["Operations"][0]["status"], "503", "{refused}");
    world.faults(json!({ "rules": [] })).await;
    eventually("it can be told", async || {
        let done = world.post("/Bulk", bulk.clone()).await.expect(200).body;
        done["Operations"][0]["status"] == "200"
    })
    .await;
    world.patch(&path, married).await.expect(200);
}

#[tokio::test]
async fn who_signed_in_anew_is_added_by_the_id_of_now() {
    let mut world = snyk().await;
    let mut before = company();
    let users = before["users"].as_array_mut().unwrap();
    users.push(json!({ "email": address("new") }));
    world.seed(before).await;
    world.import();
    let (viewer, new) = (role(&world, VIEWER).await, id_of_user(&world, "new").await);
    // The account of before is gone, and there is another one in place of Cat's.
    world.seed(moved("cat", "new")).await;
    add(&world, &viewer, &new).await.expect(204);
    assert_eq!(roles(&world, "new").await, just(VIEWER));
}

#[tokio::test]
async fn it_is_told_whose_address_several_accounts_have() {
    let mut world = snyk_with("import = \"start\"", LINK).await;
    let vic = id_of_user(&world, "vic").await;
    let (first, second) = share(&world, "vic").await;
    world.kill_and_restart();
    eventually("it is told", async || {
        world.status().await["connections"][0]["sameAddress"] != json!([])
    })
    .await;
    let status = world.status().await;
    let told = json!([{ "user": vic, "ended": false, "accounts": [first, second] }]);
    assert_eq!(status["connections"][0]["sameAddress"], told, "{status}");
    let (said, _, well) = world.run(&["status"]);
    let said: Vec<&str> = said.split_whitespace().collect();
    let told = said.join(" ").contains("give each an address of its own");
    assert!(!well && told, "{said:?}");
}

/// Somebody else with the address comes last, and has what the teams give it.
fn with_a_twin(name: &str, team: &str, role: &str) -> (Value, [String; 2]) {
    let mut company = company();
    let users = company["users"].as_array_mut().unwrap();
    let place = users.iter().position(|it| it["email"] == address(name));
    users.push(json!({ "email": address(name) }));
    let account = |n: usize| format!("20000000-0000-4000-8000-{n:012x}");
    let both = [account(place.unwrap() + 1), account(users.len())];
    let given = json!({ "name": team, "type": role, "members": [address(name)] });
    company["groups"].as_array_mut().unwrap().push(given);
    (company, both)
}

/// To which account a role was given.
async fn given_to(world: &World, accounts: &[String; 2]) -> Vec<bool> {
    let calls = world.calls().await;
    let made = calls
        .iter()
        .filter(|it| it["operation"] == "create_membership");
    let bodies: Vec<String> = made.map(|it| it["body"].to_string()).collect();
    let is_told = |id: &String| bodies.iter().any(|body| body.contains(id));
    accounts.iter().map(is_told).collect()
}

#[tokio::test]
async fn who_has_nothing_stays_linked_when_another_account_has_the_address() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let cat = id_of_user(&world, "cat").await;
    let (company, both) = with_a_twin("cat", "Labs", MEMBER);
    world.seed(company).await;
    world.import();
    let twins = json!([{ "user": cat, "ended": false, "accounts": both }]);
    assert_eq!(told(&world).await, twins);
    let labs = role_of(&world, "Labs", MEMBER).await;
    let members = world.members(labs.trim_start_matches("/Groups/")).await;
    assert!(!members.contains(&cat), "that is somebody else's");
    for reconciled in [false, true] {
        if reconciled {
            world.run(&["reconcile", "--apply"]);
        }
        world.forget_calls().await;
        let viewer = role(&world, VIEWER).await;
        add(&world, &viewer, &cat).await.expect(204);
        assert_eq!(given_to(&world, &both).await, [true, false]);
        remove(&world, &viewer, &cat).await.expect(204);
    }
}

#[tokio::test]
async fn who_comes_back_is_given_its_own_account_when_another_one_has_the_address() {
    let world = snyk().await;
    let mel = id_of_user(&world, "mel").await;
    activate(&world, &mel, false).await.expect(200);
    let (mut company, both) = with_a_twin("mel", "Labs", VIEWER);
    let groups = company["groups"].as_array_mut().unwrap();
    groups.retain(|it| it["type"] == ADMIN || it["type"] == VIEWER);
    world.seed(company).await;
    world.forget_calls().await;
    activate(&world, &mel, true).await.expect(200);
    let viewer = role(&world, VIEWER).await;
    add(&world, &viewer, &mel).await.expect(204);
    assert_eq!(given_to(&world, &both).await, [true, false]);
}
