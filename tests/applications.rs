//! The shared list: what every application has to do behind the bridge, by the
//! front door. What it is asked to do depends on the table it declares: what it
//! can do is done, in as few calls as the table allows; what it cannot is
//! refused in the table's words and without a call. A new application is one
//! more line at the end, and what it starts with in [`example`].

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use self::{
    leavers::{
        a_deletion_that_is_refused_is_told_as_one, a_kill_while_access_is_withdrawn_leaves_none,
        a_removal_that_is_refused_is_told_as_an_end_of_access_that_was_refused,
        whoever_leaves_has_no_access_and_gets_it_back_or_the_refusal_says_why,
        whoever_leaves_is_taken_out_of_every_group_and_gets_just_these_back,
    },
    table::{Row, Table},
};
use crate::support::{Application, Reply, World, address, group, user, values};

mod leavers;
mod table;

/// What is there before the bridge reads it.
struct Example {
    /// Ann and Ben are in the crew, Cat and Dan are not.
    company: Value,
    /// What the crew is called in SCIM, and in the application's state.
    crew: &'static str,
    upstream: &'static str,
    /// Nobody is made through the bridge: users appear by signing in.
    by_signing_in: bool,
}

fn example(application: Application) -> Example {
    let crew = "crew";
    let user = |name| json!({ "email": address(name), "first_name": name, "last_name": "Example" });
    let users = ["ann", "ben", "cat", "dan"].map(user);
    let members = ["ann", "ben"].map(address);
    let everybody = ["ann", "ben", "cat", "dan"].map(address);
    match application {
        Application::Opsera
        | Application::Hydden
        | Application::Declared
        | Application::DeclaredById
        | Application::DeclaredForEver
        | Application::DeclaredLinked
        | Application::DeclaredFound
        | Application::DeclaredTitled
        | Application::DeclaredInventory => Example {
            company: json!({
                "users": users,
                "groups": [{ "name": crew, "members": members }],
            }),
            crew,
            upstream: crew,
            by_signing_in: false,
        },
        Application::Snyk => Example {
            company: json!({
                "users": users.into_iter().chain([user("root")]).collect::<Vec<_>>(),
                "groups": [
                    { "name": crew, "type": "group_viewer", "members": members },
                    // Who is in no group is not seen.
                    { "name": "others", "members": everybody },
                    { "name": crew, "type": "group_admin", "members": [address("root")] },
                    { "name": "others", "type": "group_admin", "members": [address("root")] },
                ],
            }),
            crew: "crew: group_viewer",
            upstream: "crew/group_viewer",
            by_signing_in: true,
        },
    }
}

/// One application behind a bridge that has read it.
struct Trial {
    world: World,
    table: Table,
    example: Example,
}

impl Trial {
    async fn of(application: Application) -> Self {
        Self::with(application, "").await
    }

    /// With lines of the connection's own.
    async fn with(application: Application, connection: &str) -> Self {
        let mut world = World::of(application, connection).await;
        let example = example(application);
        world.seed(example.company.clone()).await;
        world.import();
        Self {
            table: Table::printed_by(&world),
            world,
            example,
        }
    }

    /// Ends the process as soon as something is on its way, and starts another.
    async fn killed_in_mid_call(&mut self) {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while writes(&self.world.calls().await).is_empty() {
            assert!(std::time::Instant::now() < end, "nothing is under way");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.world.kill_and_restart();
        self.world.faults(json!({})).await;
    }

    /// The id of somebody who was imported.
    async fn user(&self, name: &str) -> String {
        self.find("Users", "userName", &address(name)).await
    }

    async fn users(&self, names: &[&str]) -> Vec<String> {
        let mut ids = Vec::new();
        for name in names {
            ids.push(self.user(name).await);
        }
        ids
    }

    async fn find(&self, kind: &str, attribute: &str, value: &str) -> String {
        let value = value.replace(' ', "%20");
        let path = format!("/{kind}?filter={attribute}%20eq%20%22{value}%22");
        let found = self.world.get(&path).await.expect(200).body["Resources"][0].clone();
        let id = found["id"].as_str();
        id.unwrap_or_else(|| panic!("{kind} {value}: {found}"))
            .to_owned()
    }

    async fn crew(&self) -> String {
        self.find("Groups", "displayName", self.example.crew).await
    }

    async fn crew_path(&self) -> String {
        format!("/Groups/{}", self.crew().await)
    }

    /// Whether both ends say that just these are in the crew.
    async fn until_the_crew_is(&self, names: &[&str]) {
        let expected: BTreeSet<String> = names.iter().map(|name| address(name)).collect();
        self.world
            .until_upstream_has(self.example.upstream, &expected)
            .await;
        let ids = self.users(names).await.into_iter().collect();
        assert_eq!(self.world.members(&self.crew().await).await, ids);
    }

    /// Somebody signs in to the application for the first time.
    async fn sign_in(&mut self, name: &str) {
        let mut company = self.example.company.clone();
        let email = json!(address(name));
        let users = company["users"].as_array_mut().unwrap();
        users.push(json!({ "email": email }));
        let others = company["groups"][1]["members"].as_array_mut().unwrap();
        others.push(email);
        self.world.seed(company).await;
        self.world.import();
    }

    /// No account can be ended, but every membership can.
    fn withdraws(&self) -> bool {
        !self.table.can("deactivate a user") && self.table.can("remove members")
    }

    /// Both directions can be told.
    fn members_can_be_changed(&self) -> bool {
        self.table.can("add members") && self.table.can("remove members")
    }

    async fn patch_crew(&self, op: &str, names: &[&str]) -> Reply {
        let users = self.users(names).await;
        let path = self.crew_path().await;
        let change = json!([{ "op": op, "path": "members", "value": values(&users) }]);
        self.world.patch(&path, change).await
    }

    /// Whether somebody can get at what the crew can get at.
    async fn has_access(&self, name: &str) -> bool {
        let email = json!(address(name));
        let state = self.world.state().await;
        let list = |key: &str| state[key].as_array().cloned().unwrap_or_default();
        let active = |user: &Value| user["email"] == email && user["active"] == true;
        let inside = |group: &Value| {
            group["name"] == self.example.upstream
                && group["members"].as_array().unwrap().contains(&email)
        };
        list("users").iter().any(active) && list("groups").iter().any(inside)
    }
}

/// Calls that change something, as far as their verb tells.
fn writes(calls: &[Value]) -> Vec<&Value> {
    let changes = |call: &&Value| call["method"] != "GET";
    calls.iter().filter(changes).collect()
}

#[track_caller]
fn refused_with(row: &Row, reply: &Reply, calls: &[Value]) {
    assert!([400, 403].contains(&reply.status.as_u16()), "{reply:?}");
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(
        !row.note.is_empty() && detail.contains(&row.note),
        "{detail} {row:?}"
    );
    assert_eq!(calls, Vec::<Value>::new());
}

async fn an_import_shows_users_groups_and_members(application: Application) {
    let trial = Trial::of(application).await;
    for name in ["ann", "ben", "cat", "dan"] {
        let path = format!("/Users/{}", trial.user(name).await);
        let found = trial.world.get(&path).await.expect(200).body;
        assert_eq!(found["active"], true, "{found}");
    }
    trial.until_the_crew_is(&["ann", "ben"]).await;
}

async fn members_end_as_asked_in_as_few_calls_as_the_table_allows(application: Application) {
    let trial = Trial::of(application).await;
    if !trial.members_can_be_changed() {
        return;
    }
    let (adds, removes) = ("add members", "remove members");
    let (reply, calls) = trial
        .world
        .calls_of(trial.patch_crew("add", &["cat", "dan"]))
        .await;
    reply.expect(204);
    assert_eq!(
        writes(&calls).len(),
        trial.table.fewest(adds, 2),
        "{calls:#?}"
    );
    trial.until_the_crew_is(&["ann", "ben", "cat", "dan"]).await;

    // Who is in already, and who is not, cost nothing.
    let (reply, calls) = trial
        .world
        .calls_of(trial.patch_crew("add", &["ann"]))
        .await;
    reply.expect(204);
    assert_eq!(calls, Vec::<Value>::new());

    let (reply, calls) = trial
        .world
        .calls_of(trial.patch_crew("remove", &["ann", "cat"]))
        .await;
    reply.expect(204);
    assert_eq!(
        writes(&calls).len(),
        trial.table.fewest(removes, 2),
        "{calls:#?}"
    );
    trial.until_the_crew_is(&["ben", "dan"]).await;

    let path = trial.crew_path().await;
    let whole = group(trial.example.crew, &trial.users(&["ann", "dan"]).await);
    let (reply, calls) = trial.world.calls_of(trial.world.put(&path, whole)).await;
    reply.expect(200);
    let most = trial.table.fewest(adds, 1) + trial.table.fewest(removes, 1);
    assert!(writes(&calls).len() <= most, "{calls:#?}");
    trial.until_the_crew_is(&["ann", "dan"]).await;
}

async fn members_that_cannot_be_changed_are_refused_without_a_call(application: Application) {
    let trial = Trial::of(application).await;
    for (act, op, name) in [
        ("add members", "add", "cat"),
        ("remove members", "remove", "ann"),
    ] {
        if !trial.table.can(act) {
            let (reply, calls) = trial.world.calls_of(trial.patch_crew(op, &[name])).await;
            refused_with(trial.table.row(act), &reply, &calls);
            assert_eq!(reply.body["scimType"], "mutability");
            trial.until_the_crew_is(&["ann", "ben"]).await;
        }
    }
    // Saying again what is so is no change.
    let (reply, calls) = trial
        .world
        .calls_of(trial.patch_crew("add", &["ann"]))
        .await;
    reply.expect(204);
    assert_eq!(calls, Vec::<Value>::new());
}

async fn whoever_the_application_refuses_is_named_and_nobody_else_is_kept_out(
    application: Application,
) {
    let refusals = [
        json!({ "rules": [{ "failure": { "status": { "status": 400 } }, "writes": true, "next": 1 }] }),
        json!({ "refuse_members": [address("dan")] }),
    ];
    for refusal in refusals {
        let trial = Trial::of(application).await;
        if !trial.members_can_be_changed() {
            return;
        }
        trial.world.faults(refusal).await;
        let reply = trial.patch_crew("add", &["cat", "dan"]).await;
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        let mut inside = vec!["ann", "ben"];
        for name in ["cat", "dan"] {
            if !detail.contains(&trial.user(name).await) {
                inside.push(name);
            }
        }
        assert_eq!(inside.len() == 4, reply.status.is_success(), "{reply:?}");
        assert!(inside.len() > 2, "{reply:?}");
        trial.until_the_crew_is(&inside).await;
    }
}

async fn what_nobody_answered_is_done_in_the_end(application: Application) {
    let failures = ["reset_before", "reset_after", "error_after", "truncated"];
    let trial = Trial::of(application).await;
    if !trial.members_can_be_changed() {
        return;
    }
    for failure in failures {
        let rules = json!({ "rules": [{ "failure": failure, "writes": true, "next": 1 }] });
        for (op, now) in [
            ("add", &["ann", "ben", "cat"][..]),
            ("remove", &["ann", "ben"]),
        ] {
            trial.world.faults(rules.clone()).await;
            trial.patch_crew(op, &["cat"]).await.expect(204);
            trial.until_the_crew_is(now).await;
        }
    }
}

async fn a_call_too_many_is_said_again_later_and_the_client_hears_nothing_of_it(
    application: Application,
) {
    let trial = Trial::of(application).await;
    if !trial.members_can_be_changed() {
        return;
    }
    let too_many = json!({ "status": { "status": 429, "retry_after": "1" } });
    let rules = json!({ "rules": [{ "failure": too_many, "writes": true, "next": 1 }] });
    trial.world.faults(rules).await;
    trial.patch_crew("add", &["cat", "dan"]).await.expect(204);
    trial.until_the_crew_is(&["ann", "ben", "cat", "dan"]).await;
}

async fn a_group_is_made_and_ends_or_the_refusal_says_why(application: Application) {
    let trial = Trial::of(application).await;
    let members = trial.users(&["cat"]).await;
    let new = trial.world.post("/Groups", group("squad", &members));
    let (reply, calls) = trial.world.calls_of(new).await;
    if !trial.table.can("create a group") {
        refused_with(trial.table.row("create a group"), &reply, &calls);
        let path = trial.crew_path().await;
        let end = trial.world.send("DELETE", &path, None);
        let (reply, calls) = trial.world.calls_of(end).await;
        refused_with(trial.table.row("delete a group"), &reply, &calls);
        return;
    }
    let id = reply.expect(201).id();
    trial
        .world
        .until_upstream_has("squad", &[address("cat")].into())
        .await;
    let path = format!("/Groups/{id}");
    let (reply, calls) = trial
        .world
        .calls_of(trial.world.send("DELETE", &path, None))
        .await;
    if trial.table.can("delete a group") {
        reply.expect(204);
        assert_eq!(trial.world.upstream_members("squad").await, None);
        trial.world.get(&path).await.expect(404);
    } else {
        refused_with(trial.table.row("delete a group"), &reply, &calls);
    }
}

/// Where the application has no new name for it, the name is the identity
/// provider's alone or is refused.
async fn a_new_name_of_a_group_is_carried_or_costs_no_call(application: Application) {
    let trial = Trial::of(application).await;
    let path = trial.crew_path().await;
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "The Crew" }]);
    let (reply, calls) = trial.world.calls_of(trial.world.patch(&path, rename)).await;
    let row = trial.table.row("rename a group");
    if row.able {
        reply.expect(204);
        assert!(trial.world.upstream_members("The Crew").await.is_some());
    } else if reply.status.is_client_error() {
        refused_with(row, &reply, &calls);
    } else {
        reply.expect(204);
        assert_eq!(calls, Vec::<Value>::new());
        let there = trial.world.upstream_members(trial.example.upstream).await;
        assert!(there.is_some(), "it has its old name there");
    }
}

async fn a_user_is_made_or_the_refusal_says_why(application: Application) {
    let mut trial = Trial::of(application).await;
    let new = trial.world.post("/Users", user("eve"));
    let (reply, calls) = trial.world.calls_of(new).await;
    let row = trial.table.row("create a user");
    if !row.able {
        refused_with(row, &reply, &calls);
        return;
    }
    let id = reply.expect(201).id();
    if trial.example.by_signing_in {
        trial.sign_in("eve").await;
    }
    let state = trial.world.state().await;
    let users = state["users"].as_array().unwrap();
    let is_eve = |user: &&Value| user["email"] == address("eve") && user["active"] == true;
    assert_eq!(users.iter().filter(is_eve).count(), 1, "{state}");
    if trial.members_can_be_changed() {
        trial.patch_crew("add", &["eve"]).await.expect(204);
        trial.until_the_crew_is(&["ann", "ben", "eve"]).await;
    }
    if trial.table.can("deactivate a user") {
        let path = format!("/Users/{id}");
        trial.world.send("DELETE", &path, None).await.expect(204);
        assert!(!trial.has_access("eve").await);
    }
}

async fn the_schemas_say_what_the_table_says(application: Application) {
    let trial = Trial::of(application).await;
    let schemas = trial.world.get("/Schemas").await.expect(200).body;
    let served = schemas.to_string();
    for (act, row) in trial.table.rows().filter(|(_, row)| !row.able) {
        let note = json!(row.note).to_string();
        assert!(served.contains(note.trim_matches('"')), "{act}: {row:?}");
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let group = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let mut schemas = list(&schemas["Resources"]).into_iter();
    let schema = schemas.find(|schema| schema["id"] == group).unwrap();
    let mut attributes = list(&schema["attributes"]).into_iter();
    let members = attributes.find(|it| it["name"] == "members").unwrap();
    let changes = trial.table.can("add members") || trial.table.can("remove members");
    let word = if changes { "readWrite" } else { "readOnly" };
    assert_eq!(members["mutability"], word, "{members}");
}

async fn a_check_prints_the_whole_table(application: Application) {
    let trial = Trial::of(application).await;
    assert_eq!(trial.table.rows().count(), 12);
    for (act, row) in trial.table.rows() {
        assert!(row.able || !row.note.is_empty(), "{act}: {row:?}");
    }
}

async fn a_kill_in_mid_turn_loses_nothing(application: Application) {
    let mut trial = Trial::with(application, "sync_wait = \"200ms\"").await;
    if !trial.members_can_be_changed() {
        trial.world.kill_and_restart();
        trial.until_the_crew_is(&["ann", "ben"]).await;
        return;
    }
    trial.world.faults(json!({ "latency_ms": 1_000 })).await;
    trial.world.forget_calls().await;
    trial.patch_crew("add", &["cat", "dan"]).await.expect(204);
    trial.patch_crew("remove", &["ann"]).await.expect(204);
    trial.killed_in_mid_call().await;
    trial.until_the_crew_is(&["ben", "cat", "dan"]).await;
}

/// Every test of the list for one application.
macro_rules! application {
    ($name:ident, $application:expr) => {
        mod $name {
            application!(@ $application;
                an_import_shows_users_groups_and_members
                members_end_as_asked_in_as_few_calls_as_the_table_allows
                members_that_cannot_be_changed_are_refused_without_a_call
                whoever_the_application_refuses_is_named_and_nobody_else_is_kept_out
                what_nobody_answered_is_done_in_the_end
                a_call_too_many_is_said_again_later_and_the_client_hears_nothing_of_it
                a_group_is_made_and_ends_or_the_refusal_says_why
                a_new_name_of_a_group_is_carried_or_costs_no_call
                whoever_leaves_has_no_access_and_gets_it_back_or_the_refusal_says_why
                whoever_leaves_is_taken_out_of_every_group_and_gets_just_these_back
                a_removal_that_is_refused_is_told_as_an_end_of_access_that_was_refused
                a_deletion_that_is_refused_is_told_as_one
                a_kill_while_access_is_withdrawn_leaves_none
                a_user_is_made_or_the_refusal_says_why
                the_schemas_say_what_the_table_says
                a_check_prints_the_whole_table
                a_kill_in_mid_turn_loses_nothing
            );
        }
    };
    (@ $application:expr; $($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                use crate::support::Application;
                super::$test($application).await;
            }
        )*
    };
}

application!(opsera, Application::Opsera);
application!(hydden, Application::Hydden);
application!(declared, Application::Declared);
application!(declared_by_id, Application::DeclaredById);
application!(declared_for_ever, Application::DeclaredForEver);
application!(declared_inventory, Application::DeclaredInventory);
application!(snyk, Application::Snyk);
