//! `drawbridge status`: how a running server stands.

use clap::Args;
use serde_json::Value;

use super::{
    ConfigFile, Failed,
    operator::Server,
    screen::{Screen, Tone},
};
use crate::app;

mod readings;

pub(super) use readings::{NAMED, members_unknown};

/// Show how a running server stands: what is pending, refused or paused, and
/// how it goes with each application.
///
/// The exit status is 0 only if everything is as the identity providers were
/// told: nothing pending, refused, held or paused, nothing that the last
/// reconciliation missed and left or found though it was taken away, and every
/// application answers and could be read by the last import and reconciliation. What is
/// unsettled is as they were told now; a call that got no answer may still change it,
/// and then it is put right by itself.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// As JSON, as the server tells it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Status {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let server = Server::find(&self.config)?;
        let status = app::command_runtime()?.block_on(server.get("/status"))?;
        let screen = Screen::new();
        if self.json {
            let text = serde_json::to_string_pretty(&status)?;
            screen.line(Tone::Plain, &text);
        } else {
            show(screen, &status);
        }
        if all_is_well(&status) {
            Ok(())
        } else {
            Err(Failed {
                text: "not everything is as the identity providers were told".to_owned(),
                status: 1,
            })
        }
    }
}

/// Seconds after which access that was taken away must be gone.
const LATE: u64 = 300;

fn connections(status: &Value) -> impl Iterator<Item = &Value> {
    status["connections"].as_array().into_iter().flatten()
}

fn all_is_well(status: &Value) -> bool {
    let whole = status["lostRecord"].is_null();
    status["ready"] == true && whole && connections(status).all(is_well)
}

fn is_well(connection: &Value) -> bool {
    let none = |of: &Value| counts(of).is_empty();
    connection["application"]["state"] == "well"
        && none(&connection["pending"])
        && none(&connection["refused"])
        && readings::are_well(connection)
        && collisions(connection).next().is_none()
        && several(connection).next().is_none()
        && left_alone(connection).next().is_none()
        && replaced(connection).next().is_none()
        && connection["waiting"].as_array().is_none_or(Vec::is_empty)
        && connection["held"] == 0
        && connection["recovery"].is_null()
        && connection["unseen"] != true
        && connection["neverRead"] != true
}

/// Users whose address several accounts have, those accounts, and whether the
/// user must have nothing.
fn collisions(connection: &Value) -> impl Iterator<Item = (&str, Vec<&str>, bool)> {
    let all = connection["sameAddress"].as_array().into_iter().flatten();
    all.filter_map(|it| {
        let accounts = it["accounts"].as_array().into_iter().flatten();
        Some((
            it["user"].as_str()?,
            accounts.filter_map(Value::as_str).collect(),
            it["ended"] == true,
        ))
    })
}

/// Who is shown with several memberships that exclude each other: the user here and
/// its account there, and of what they are.
fn several(connection: &Value) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
    let all = connection["severalMemberships"].as_array();
    let all = all.into_iter().flatten();
    all.filter_map(|it| {
        Some((
            it["user"].as_str(),
            it["account"].as_str()?,
            it["of"].as_str()?,
        ))
    })
}

/// What may have been made from here and is left alone.
fn left_alone(connection: &Value) -> impl Iterator<Item = &Value> {
    connection["leftAlone"].as_array().into_iter().flatten()
}

/// Those of some counts that are not zero.
fn counts(of: &Value) -> String {
    let counts = of.as_object().into_iter().flatten();
    let counts = counts.filter(|(_, count)| **count != 0);
    let counts: Vec<String> = counts.map(|(of, count)| format!("{count} {of}")).collect();
    counts.join(", ")
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3_600)),
    }
}

fn show(screen: Screen, status: &Value) {
    let text = |of: &Value| match of {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let ready = if status["ready"] == true {
        (Tone::Plain, "ready")
    } else {
        (Tone::Bad, "the store takes no writes")
    };
    screen.line(
        ready.0,
        &format!(
            "drawbridge {}, up since {}: {}",
            text(&status["version"]),
            text(&status["started"]),
            ready.1
        ),
    );
    if let Some(record) = status["lostRecord"].as_i64() {
        let text = format!(
            "record {record} of the audit was noted beside the store and was not in it when this \
             server started: its end was cut off, or the store is an older copy; told until the \
             next start, and by drawbridge audit verify for good"
        );
        screen.paragraph(Tone::Bad, "", &text);
    }
    for name in status["pausedUnknown"].as_array().into_iter().flatten() {
        let text = format!(
            "all writes are stopped because the kill switch's file names {name}, which is no \
             connection; drawbridge resume takes the file away"
        );
        screen.paragraph(Tone::Bad, "", &text);
    }
    for connection in connections(status) {
        let tone = if is_well(connection) {
            Tone::Good
        } else {
            Tone::Bad
        };
        screen.line(
            tone,
            &format!(
                "{}: {} {}",
                text(&connection["name"]),
                text(&connection["application"]["name"]),
                text(&connection["application"]["state"])
            ),
        );
        screen.line(
            Tone::Plain,
            &format!(
                "  {} users, {} groups, {} memberships",
                connection["users"], connection["groups"], connection["memberships"]
            ),
        );
        let open = connection["oldestRevocationSeconds"].as_u64().unwrap_or(0);
        if open > LATE {
            let text = format!("access that was taken away {open} seconds ago is not gone yet");
            screen.paragraph(Tone::Bad, "  ", &text);
        }
        if connection["held"] != 0 {
            let held = &connection["held"];
            let text = format!("  {held} held requests wait for you: drawbridge held list");
            screen.line(Tone::Bad, &text);
        }
        show_elsewhere(screen, connection);
        show_places(screen, connection);
        show_not_offered(screen, connection);
        show_replaced(screen, connection);
        if let Some(why) = connection["recovery"]["why"].as_str() {
            let text = format!("in recovery, nothing is removed from groups: {why}");
            screen.paragraph(Tone::Bad, "  ", &text);
        }
        if let Some(why) = connection["application"]["credential"].as_str() {
            let text = format!("{why}; what was read of it before is still in use");
            screen.paragraph(Tone::Bad, "  ", &text);
        }
        if connection["unseen"] == true {
            screen.paragraph(
                Tone::Bad,
                "  ",
                "nobody is taken out of a group before the application was looked at for the first \
                 time since the start",
            );
        }
        if connection["neverRead"] == true {
            let text = "what is in the application is not known here yet: its first import has not \
                        come to its end";
            screen.paragraph(Tone::Bad, "  ", text);
        }
        show_collisions(screen, connection);
        show_several(screen, connection);
        show_left_alone(screen, connection);
        show_other_address(screen, connection);
        readings::show(screen, connection);
        for what in ["pending", "refused", "staged"] {
            let counts = counts(&connection[what]);
            if !counts.is_empty() {
                screen.line(Tone::Bad, &format!("  {what}: {counts}"));
            }
        }
        show_unsettled(screen, connection);
        show_progress(screen, connection);
        if let Some(seconds) = connection["pendingTakesAtLeastSeconds"].as_u64() {
            let text = format!(
                "  at {} calls a second that takes at least {}",
                connection["application"]["requestsPerSecond"],
                span(seconds)
            );
            screen.line(Tone::Plain, &text);
        }
        if let Some(refused) = connection["requests"]["refused"]
            .as_u64()
            .filter(|it| *it > 0)
        {
            let text = format!(
                "  {refused} requests were told to come again (more than request_budget, {} a second)",
                connection["requests"]["budgetPerSecond"]
            );
            screen.line(Tone::Plain, &text);
        }
        show_refused(screen, connection);
        show_waiting(screen, connection);
        show_failing(screen, connection);
    }
}

/// What of it the screen shows; `--json` has more.
const SHOWN: usize = 20;

/// It is as asked now, or counted among the others.
fn show_unsettled(screen: Screen, connection: &Value) {
    let counts = counts(&connection["unsettled"]);
    if !counts.is_empty() {
        let text = format!(
            "unsettled: {counts}: calls about these got no answer and may still take effect until \
             late_writes is over; what they change is put right then"
        );
        screen.paragraph(Tone::Plain, "  ", &text);
    }
}

/// How far it has come with what is not as asked yet.
fn show_progress(screen: Screen, connection: &Value) {
    let as_asked = connection["asAsked"].as_object().into_iter().flatten();
    let open = as_asked.filter(|(_, it)| it["done"] != it["all"]);
    let open: Vec<String> = open
        .map(|(of, it)| format!("{} of {} {of}", it["done"], it["all"]))
        .collect();
    if !open.is_empty() {
        let text = format!("  as asked: {}", open.join(", "));
        screen.line(Tone::Plain, &text);
    }
}

fn show_collisions(screen: Screen, connection: &Value) {
    for (user, accounts, ended) in collisions(connection).take(SHOWN) {
        let accounts = accounts.join(", ");
        let text = if ended {
            format!(
                "User {user} must have nothing, and the accounts {accounts} with its address have \
                 something in the application still: the next import or reconciliation takes it \
                 away where it can, within the guard rails; what they keep goes at once with \
                 `drawbridge reconcile --apply --shrunk`, but for what is protected, or by hand \
                 there"
            )
        } else {
            format!(
                "the accounts {accounts} have the address of User {user} in the application; what \
                 is given is given to the linked one alone, and a deactivation ends all of them: \
                 give each an address of its own there"
            )
        };
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}

fn show_several(screen: Screen, connection: &Value) {
    for (user, account, of) in several(connection).take(SHOWN) {
        let who = user.map_or_else(
            || format!("the account {account}"),
            |user| format!("User {user} (the account {account})"),
        );
        let text = format!(
            "{who} has more than one membership of {of} in the application, where one is all there \
             can be: what is known of it there stays as it is, no role of its there is changed, and \
             only a deactivation or deletion takes all of them away; leave it one of them, in the \
             application, and the next import believes it"
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}

fn show_left_alone(screen: Screen, connection: &Value) {
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    for group in left_alone(connection).take(SHOWN) {
        let line = format!(
            "the application has a group {} that may be what the creation of Group {} has made, of \
             which no answer came; that Group is none here any more, and what is there stays ({}; \
             since {}): look who is in it; delete it there, or take out whoever was not \
             asked for and create the Group here again. This is told until an import or \
             reconciliation does not show it, or somebody asks for it here",
            text(&group["name"]),
            text(&group["group"]),
            text(&group["reason"]),
            text(&group["at"]),
        );
        screen.paragraph(Tone::Bad, "  ", &line);
    }
}

/// What is as the application's table of capabilities says is no fault of its state.
fn show_other_address(screen: Screen, connection: &Value) {
    let all = connection["otherAddress"].as_array();
    for user in all.into_iter().flatten().take(SHOWN) {
        let line = format!(
            "note: the account of User {} has another address in the application than is said \
             here; it cannot be changed from here, and access stays with that account: have it changed \
             there, or delete the User and make it anew",
            user.as_str().unwrap_or_default()
        );
        screen.paragraph(Tone::Plain, "  ", &line);
    }
}

/// Who and what the application refused, and why.
fn show_refused(screen: Screen, connection: &Value) {
    let all = |list: &str| connection[list].as_array().cloned().unwrap_or_default();
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let resources = all("refusedResources").into_iter().map(|it| {
        let (of, id) = (text(&it["resourceType"]), text(&it["id"]));
        (format!("{of} {id}, {}", text(&it["asked"])), it)
    });
    let memberships = all("refusedMemberships").into_iter().map(|it| {
        let (user, group) = (text(&it["user"]), text(&it["group"]));
        let asked = text(&it["asked"]);
        (format!("User {user} in Group {group}, {asked}"), it)
    });
    for (what, refused) in resources.chain(memberships).take(SHOWN) {
        let (at, reason) = (text(&refused["at"]), text(&refused["reason"]));
        let line = format!("{what} (asked for at {at}): {reason}");
        screen.paragraph(Tone::Bad, "    ", &line);
    }
}

/// Who waits, and why.
fn show_waiting(screen: Screen, connection: &Value) {
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let all = connection["waiting"].as_array().into_iter().flatten();
    for waits in all.take(SHOWN) {
        let what = match (waits["user"].as_str(), waits["group"].as_str()) {
            (Some(user), Some(group)) => {
                let asked = text(&waits["asked"]);
                format!("User {user} in Group {group}, {asked}")
            }
            (None, Some(group)) => format!("Group {group}, delete"),
            (user, None) => format!("User {}", user.unwrap_or_default()),
        };
        let line = format!("{what}, waits: {}", text(&waits["reason"]));
        screen.paragraph(Tone::Bad, "    ", &line);
    }
}

/// Whose calls fail again and again, how often, and how the last one ended.
fn show_failing(screen: Screen, connection: &Value) {
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let all = connection["failing"].as_array().into_iter().flatten();
    for failing in all.take(SHOWN) {
        let reason = failing["reason"].as_str();
        let line = format!(
            "{} {}, failed {} times in a row and is tried again: {}",
            text(&failing["resourceType"]),
            text(&failing["id"]),
            failing["tries"],
            reason.unwrap_or("it is not known what became of it")
        );
        screen.paragraph(Tone::Bad, "    ", &line);
    }
}

/// What another connection manages is as it should be.
fn show_elsewhere(screen: Screen, connection: &Value) {
    let all = connection["managedElsewhere"].as_array();
    let mut by: Vec<&str> = all
        .into_iter()
        .flatten()
        .filter_map(|it| it["by"].as_str())
        .collect();
    let count = by.len();
    by.sort_unstable();
    by.dedup();
    if count > 0 {
        let text = format!(
            "{count} or more users and groups are managed by another connection to the same \
             application: {}",
            by.join(", ")
        );
        screen.paragraph(Tone::Quiet, "  ", &text);
    }
}

/// Groups whose role was made anew, so that another Group stands for it.
pub(super) fn replaced(connection: &Value) -> impl Iterator<Item = &Value> {
    connection["replaced"].as_array().into_iter().flatten()
}

pub(super) fn replaced_text(group: &Value) -> String {
    let text = |key: &str| group[key].as_str().unwrap_or_default();
    format!(
        "{} memberships are asked for in Group {} ({}), and its role is another one of the same name \
         now, for which another Group stands",
        group["memberships"],
        text("group"),
        text("name"),
    )
}

fn show_replaced(screen: Screen, connection: &Value) {
    for group in replaced(connection).take(SHOWN) {
        let text = format!(
            "{}: ask for them there, then take them out of this one",
            replaced_text(group)
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}

/// What nothing can be done for as it is configured, which is a choice.
fn show_not_offered(screen: Screen, connection: &Value) {
    let all = connection["notOffered"].as_array();
    for group in all.into_iter().flatten().take(SHOWN) {
        let text = |key: &str| group[key].as_str().unwrap_or_default();
        let text = format!(
            "{} memberships are asked for in Group {} ({}), which is left out of the configuration: \
             whoever has it keeps it, and nobody is given it; put it among its groups again, or \
             have its members taken out",
            group["memberships"],
            text("group"),
            text("name"),
        );
        screen.paragraph(Tone::Plain, "  ", &text);
    }
}

/// Who is not as asked for because of another connection.
fn show_places(screen: Screen, connection: &Value) {
    let places = connection["askedForElsewhere"].as_array();
    for place in places.into_iter().flatten().take(SHOWN) {
        let text = |key: &str| place[key].as_str().unwrap_or_default();
        let has = if place["letsGo"] == true {
            "does not any more, and that has not come to its end"
        } else {
            "does, too"
        };
        let text = format!(
            "User {} is asked for in Group {}; connection {} {has}, in one of the groups that \
             exclude each other",
            text("user"),
            text("group"),
            text("by"),
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}
