//! Errors in answers of success, where a list says for whom something was done,
//! or was not.

use super::*;

const FAILED: (&str, &str) = ("applied = \"/added\"", "failed = \"/errors\"");
const GROUP: (&str, u16, &str) = (
    "GET /v1/groups",
    200,
    r#"{"rows":[{"id":"g1","name":"Crew"}]}"#,
);

fn both() -> Vec<Principal> {
    vec![principal(1, Some("11")), principal(2, Some("22"))]
}

#[tokio::test]
async fn a_list_of_who_failed_hides_no_other_error_of_a_change() {
    let removal = (
        "remove_members = { path = \"/groups/{group.id}/members/{member.id}\" }",
        "remove_members = { path = \"/groups/{group.id}/members\", body = [\"{member.id}\"], failed = \"/errors\" }",
    );
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: both(),
    };
    let remove = Operation::RemoveMembers {
        group: "Crew".into(),
        members: both(),
    };
    let added = "POST /v1/groups/g1/members [{\"id\":\"11\"},{\"id\":\"22\"}]";
    let removed = "DELETE /v1/groups/g1/members [\"11\",\"22\"]";
    for (operation, call) in [(&add, added), (&remove, removed)] {
        for (answer, end) in [
            (r#"{"error":"you may not"}"#, "rejected"),
            (r#"{"errors":null,"error":"none"}"#, "rejected"),
            (r#"{"errors":[],"success":false}"#, "rejected"),
            (r#"{"errors":[],"ok":false}"#, "rejected"),
            (r#"{"errors":null,"error":{"code":500}}"#, "unclear"),
            (r#"{"errors":[{"detail":"none was"}]}"#, "unknown"),
            (r#"{"errors":[],"error":null,"ok":true}"#, "done"),
        ] {
            let script = [GROUP, (call, 200, answer)];
            let (application, script) = scripted(&[FAILED, removal], &script).await;
            let ends = application.apply(operation).await;
            assert_eq!(ended(ends), end, "{answer}");
            script.all_was_asked();
        }
    }
}

#[tokio::test]
async fn an_error_with_an_empty_list_of_who_failed_is_one_of_the_whole_call() {
    let within = ("applied = \"/added\"", "failed = \"/error/failed\"");
    let success = (
        "errors = [{ on",
        "errors = [{ status = 207, means = \"success\" }, { on",
    );
    let added = "POST /v1/groups/g1/members [{\"id\":\"11\"},{\"id\":\"22\"}]";
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: both(),
    };
    for (status, answer, end) in [
        (
            200,
            r#"{"error":{"failed":[],"message":"quota"}}"#,
            "rejected",
        ),
        (200, r#"{"error":{"failed":[],"status":500}}"#, "unclear"),
        (200, r#"{"error":{"failed":[]}}"#, "unclear"),
        (200, r#"{"error":{"message":"quota"}}"#, "rejected"),
        (
            400,
            r#"{"error":{"failed":[],"message":"quota"}}"#,
            "rejected",
        ),
        (500, r#"{"error":{"failed":[]}}"#, "unclear"),
        // Said to be a success, which may be one in part.
        (
            207,
            r#"{"error":{"failed":[],"message":"quota"}}"#,
            "unknown",
        ),
        (200, r#"{"error":null}"#, "done"),
        (200, "{}", "done"),
    ] {
        let script = [GROUP, (added, status, answer)];
        let (application, script) = scripted(&[within, success], &script).await;
        let ends = application.apply(&add).await;
        assert_eq!(ended(ends), end, "{status} {answer}");
        script.all_was_asked();
    }
}

/// What comes of a creation with two members and a list at this key.
async fn created(list: &str, status: u16, answer: &str) -> &'static str {
    let body = "body = { name = \"{group.name}\", ids = [\"{member.id}\"] }, ";
    let declared = format!("{body}{list}");
    let success = (
        "errors = [{ on",
        "errors = [{ status = 200, at = \"/fine\", means = \"success\" }, { on",
    );
    let changes = [("body = { name = \"{group.name}\" }", &*declared), success];
    let call = "POST /v1/groups {\"ids\":[\"11\",\"22\"],\"name\":\"Crew\"}";
    let (application, script) = scripted(&changes, &[(call, status, answer)]).await;
    let create = Operation::CreateGroup {
        name: "Crew".into(),
        members: both(),
    };
    let end = ended(application.apply(&create).await);
    script.all_was_asked();
    end
}

#[tokio::test]
async fn a_list_of_members_says_not_that_a_group_was_made() {
    let (applied, failed) = ("applied = \"/ids\"", "failed = \"/errors\"");
    for (list, status, answer, end) in [
        (applied, 200, r#"{"error":"quota"}"#, "rejected"),
        (applied, 200, r#"{"error":"quota","ids":[]}"#, "rejected"),
        (applied, 201, r#"{"errors":[{"status":"403"}]}"#, "rejected"),
        (applied, 201, r#"{"errors":[{"status":"500"}]}"#, "unclear"),
        (
            applied,
            201,
            r#"{"id":9,"errors":[{"detail":"warn"}]}"#,
            "unclear",
        ),
        (
            applied,
            201,
            r#"{"ids":["11"],"errors":[{"id":"22"}]}"#,
            "unclear",
        ),
        (applied, 201, r#"{"id":9,"ids":["11"]}"#, "done"),
        (failed, 200, r#"{"error":"quota"}"#, "rejected"),
        (failed, 201, r#"{"errors":[{"status":"403"}]}"#, "rejected"),
        (failed, 201, r#"{"errors":[{"id":"e-1"}]}"#, "rejected"),
        (failed, 201, r#"{"errors":"quota"}"#, "rejected"),
        (
            failed,
            201,
            r#"{"id":9,"errors":[{"status":"403"}]}"#,
            "unclear",
        ),
        (failed, 201, r#"{"errors":[{"status":"500"}]}"#, "unclear"),
        (failed, 201, r#"{"id":9,"errors":[{"id":"22"}]}"#, "done"),
        (failed, 201, r#"{"errors":[]}"#, "done"),
        (failed, 201, r#"{"errors":""}"#, "unknown"),
        (
            failed,
            200,
            r#"{"id":9,"errors":[{"id":"e-1"}],"fine":true}"#,
            "unknown",
        ),
    ] {
        assert_eq!(created(list, status, answer).await, end, "{list} {answer}");
    }
}

#[tokio::test]
async fn a_success_with_an_undeclared_sign_of_a_failure_is_looked_at() {
    let added = "POST /v1/groups/g1/members [{\"id\":\"11\"},{\"id\":\"22\"}]";
    let undeclared = ("batch = 10, applied = \"/added\"", "batch = 10");
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: both(),
    };
    for (answer, end) in [
        (r#"{"status":"error"}"#, "unclear"),
        (r#"{"code":403,"message":"you may not"}"#, "unclear"),
        (r#"{"results":[{"id":"11","status":403}]}"#, "unclear"),
        (r#"{"added":["11"]}"#, "done"),
        ("\u{feff}<html>sign in</html>", "unclear"),
        (r#"{"added":["11","22"],"message":"done"}"#, "done"),
    ] {
        let script = [GROUP, (added, 200, answer)];
        let (application, script) = scripted(&[undeclared], &script).await;
        assert_eq!(ended(application.apply(&add).await), end, "{answer}");
        script.all_was_asked();
    }
    let page = [(GROUP.0, 200, r#"{"status":"error","rows":[]}"#)];
    let (application, script) = scripted(&[], &page).await;
    assert!(application.groups().await.is_err(), "and nobody is gone");
    script.all_was_asked();
}

#[tokio::test]
async fn an_end_whose_answer_shows_the_account_active_is_looked_at() {
    let there = r#"{"id":5,"mail":"u1@example.com","on":true}"#;
    let search = "GET /v1/users?q=mail%20eq%20%22u1%40example.com%22";
    let ended_at = "DELETE /v1/users/5";
    let end_of = Operation::DeactivateUser {
        principal: principal(1, Some("5")),
    };
    for (answer, shown, end) in [
        (there, Some("true"), "unclear"),
        (there, Some("false"), "done"),
        (
            r#"{"id":5,"mail":"u1@example.com","on":false}"#,
            None,
            "done",
        ),
        (
            r#"{"id":9,"mail":"admin@example.com","on":true}"#,
            None,
            "done",
        ),
    ] {
        let rows =
            shown.map(|on| format!(r#"{{"rows":[{{"id":5,"mail":"u1@example.com","on":{on}}}]}}"#));
        let mut script = vec![(ended_at, 200, answer)];
        script.extend(rows.as_ref().map(|rows| (search, 200, rows.as_str())));
        let (application, script) = scripted(&[], &script).await;
        assert_eq!(ended(application.apply(&end_of).await), end, "{answer}");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_change_of_members_that_is_promised_or_done_in_part_is_looked_for() {
    let undeclared = ("batch = 10, applied = \"/added\"", "batch = 10");
    let success = (
        "errors = [{ on",
        "errors = [{ status = 202, means = \"success\" }, { on",
    );
    let failed = ("applied = \"/added\"", "failed = \"/errors\"");
    let added = "POST /v1/groups/g1/members [{\"id\":\"11\"},{\"id\":\"22\"}]";
    let removed = "DELETE /v1/groups/g1/members/22";
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: both(),
    };
    let remove = Operation::RemoveMembers {
        group: "Crew".into(),
        members: both().split_off(1),
    };
    let (plain, listed) = (&[undeclared][..], &[][..]);
    for (changes, status, answer, end) in [
        (plain, 202, r#"{"status":"queued","jobId":5}"#, "open"),
        (plain, 202, "", "open"),
        (plain, 202, "accepted", "open"),
        (plain, 207, "{}", "open"),
        (listed, 202, r#"{"added":["11","22"]}"#, "open"),
        (&[failed], 202, "{}", "open"),
        // What says more than that is taken for what it says.
        (&[failed], 207, "{}", "done"),
        (&[undeclared, success], 202, "{}", "done"),
        (plain, 202, r#"{"error":"no"}"#, "rejected"),
        (plain, 202, r#"{"error":{"code":503}}"#, "unclear"),
        (plain, 202, r#"{"status":"failed"}"#, "unclear"),
    ] {
        let script = [GROUP, (added, status, answer)];
        let (application, script) = scripted(changes, &script).await;
        let ends = application.apply(&add).await;
        assert_eq!(ended(ends), end, "{status} {answer}");
        script.all_was_asked();
    }
    for (status, end) in [(202, "open"), (200, "done")] {
        let script = [GROUP, (removed, status, "{}")];
        let (application, script) = scripted(&[], &script).await;
        assert_eq!(ended(application.apply(&remove).await), end);
        script.all_was_asked();
    }
}

#[tokio::test]
async fn fewer_than_were_sent_are_looked_for_where_answers_tell_how_many_were_done() {
    let counted = ("applied = \"/added\"", "applied_count = \"/count\"");
    let added = "POST /v1/groups/g1/members [{\"id\":\"11\"},{\"id\":\"22\"}]";
    let add = Operation::AddMembers {
        group: "Crew".into(),
        members: both(),
    };
    for (answer, end) in [
        (r#"{"count":2}"#, "done"),
        (r#"{"count":1}"#, "unknown"),
        (r#"{"count":0,"message":"in already"}"#, "unknown"),
        ("{}", "unknown"),
        (r#"{"count":2,"error":"no"}"#, "rejected"),
        (r#"{"count":2,"error":{"code":"ok"}}"#, "done"),
    ] {
        let script = [GROUP, (added, 200, answer)];
        let (application, script) = scripted(&[counted], &script).await;
        assert_eq!(ended(application.apply(&add).await), end, "{answer}");
        script.all_was_asked();
    }
    let count = "applied_count = \"/count\"";
    for (answer, end) in [
        (r#"{"id":9,"count":2}"#, "done"),
        (r#"{"id":9,"count":1}"#, "unknown"),
    ] {
        assert_eq!(created(count, 201, answer).await, end, "{answer}");
    }
}
