//! `drawbridge reconcile`: what changed in the application behind the bridge's
//! back, and what to do about it.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{
    ConfigFile, Failed,
    operator::Server,
    screen::{Screen, Tone, called, progress},
};
use crate::app;

/// How often a running reconciliation is asked where it stands.
const LOOK: Duration = Duration::from_millis(250);
/// How long what is put right is waited for, in looks.
const LOOKS: u32 = 60;

/// Compare the application with what was last observed there, now.
///
/// Without --apply it only tells: memberships that were asked for and are gone (-),
/// or were only found (~), members nobody asked for (?, those who are users here;
/// ! who or what was removed or deleted here and is there: somebody gave it back, or
/// it never went), groups that cannot be read, groups and accounts that are gone,
/// accounts that were ended and are back, and groups that the configuration leaves
/// out, which are not compared. With
/// --apply it does what `drift` of the connection says: puts memberships there
/// again, or accepts that they are gone; and ends accounts again. What only one of
/// two readings shows is not believed. A group
/// that lost more than half of its members is only told until three
/// reconciliations, ten minutes apart, show the same, or --shrunk says that it is
/// true. With --shrunk also a Snyk Group is taken to be gone that is not listed and that
/// Snyk answers is not there: what is known of it is forgotten, and whoever leaves waits
/// for it no more. Where the first one since the start finds more than one in twenty
/// missing, nothing is put right and recovery begins: see `drawbridge help recovery`.
///
/// Needs a running server, which also does this by itself, as often as
/// `reconcile` of the connection says. The exit status is 0 only if there is nothing
/// to repair, nothing is there that was taken away, and everything could be read; with
/// --apply, only if nothing is left: nothing that is held or only told, nothing still under way after a
/// quarter of a minute, and nothing that the application refuses.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// Only this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Repair or accept, as the connection's `drift` says.
    #[arg(long)]
    apply: bool,
    /// Also in groups that lost more than half of their members, and accounts
    /// that are back, or were found late, and too many to be ended at once; and
    /// take Snyk Groups that are not visible any more to be gone.
    #[arg(long, requires = "apply")]
    shrunk: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// What one connection has to tell.
#[derive(Default)]
struct Found {
    /// There is something to repair.
    differs: bool,
    /// Memberships, Users and Groups: see [`RETURNED`].
    returned: [u64; 3],
    /// Groups that are there and could not be read.
    unread: u64,
}

/// What is there though it was taken away here, by where its number is.
const RETURNED: [(&str, &str); 3] = [
    (
        "given_back",
        "memberships are there, though they were taken away here (somebody gave them back in the \
         application, or it said that they were gone and kept them)",
    ),
    (
        "users_returned",
        "accounts are in use whose Users were deleted here (somebody gave them back in the \
         application, or it said that they were ended and kept them)",
    ),
    (
        "groups_returned",
        "Groups are there that were deleted here (somebody made them anew in the application, or \
         it said that they were gone and kept them)",
    ),
];

fn returned(of: [u64; 3]) -> impl Iterator<Item = (u64, &'static str)> {
    let words = RETURNED.iter().map(|(_, words)| *words);
    of.into_iter().zip(words)
}

const UNREAD: &str = "groups could not be read";

impl Reconcile {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let chosen = match &self.connection {
            None => self.config.connections()?,
            Some(name) => {
                self.config.knows(name)?;
                [name.clone()].into()
            }
        };
        let server = Server::find(&self.config)?;
        app::command_runtime()?.block_on(async {
            let mut all = Found::default();
            let mut failed = Vec::new();
            for name in chosen {
                // What is left of one connection keeps nobody from the others.
                match self.one(&server, &name).await {
                    Ok(found) => {
                        all.differs |= found.differs;
                        for (all, one) in all.returned.iter_mut().zip(found.returned) {
                            *all += one;
                        }
                        all.unread += found.unread;
                    }
                    Err(one) => failed.push(one),
                }
            }
            if let Some(status) = failed.iter().map(|one| one.status).max() {
                let texts: Vec<String> = failed.into_iter().map(|one| one.text).collect();
                return Err(Failed {
                    text: texts.join("\n"),
                    status,
                });
            }
            let back: Vec<String> = returned(all.returned)
                .filter(|(number, _)| *number > 0)
                .map(|(number, what)| format!("{number} {what}"))
                .collect();
            let text = match (self.apply, all.differs, back.is_empty()) {
                (true, ..) => return Ok(()),
                (_, false, true) if all.unread == 0 => return Ok(()),
                (_, false, true) => {
                    format!("{} {UNREAD}, so nobody knows how they stand", all.unread)
                }
                (_, true, _) => "there is something to repair; --apply does what `drift` says, where it can be done".to_owned(),
                (_, false, false) => format!("{}; take that away there, or ask for it here", back.join("; ")),
            };
            Err(Failed { text, status: 1 })
        })
    }

    async fn one(&self, server: &Server, name: &str) -> Result<Found, Failed> {
        let order = json!({ "connection": name, "apply": self.apply, "shrunk": self.shrunk });
        server.post("/reconcile", Some(order.to_string())).await?;
        let path = format!("/reconcile?connection={name}");
        let end = loop {
            let now = server.get(&path).await?;
            if now["running"] == false {
                break now;
            }
            progress(&format!("{name}: {}", bar(&now)));
            tokio::time::sleep(LOOK).await;
        };
        progress("");
        if is_lost(&end) {
            return Err(Failed {
                text: format!(
                    "{name}: the server was started again before it came to an end; reconcile again, it goes on from where it was"
                ),
                status: 1,
            });
        }
        let asked_in_vain = self.apply && end["found"]["applied"] == false;
        if let Some(error) = end["error"].as_str() {
            return Err(Failed {
                text: format!("{name}: {error}"),
                status: 1,
            });
        }
        let paused = end["paused"] == true;
        let differs = show(name, &end["found"], paused);
        if differs && paused && self.apply {
            return Err(Failed {
                text: format!(
                    "{name}: writes are stopped, so nothing is put right before `drawbridge resume`"
                ),
                status: 1,
            });
        }
        if differs && asked_in_vain {
            return Err(Failed {
                text: format!(
                    "{name}: nothing was put right, as the connection is in recovery; `drawbridge status` says why and `drawbridge help recovery` what to do"
                ),
                status: 1,
            });
        }
        let returned = RETURNED.map(|(key, _)| end["found"][key].as_u64().unwrap_or(0));
        let unread = end["found"]["groups_unread"].as_u64().unwrap_or(0);
        if self.apply {
            self.to_its_end(server, name, &end["found"]).await?;
            return Ok(Found {
                differs,
                returned,
                unread,
            });
        }
        let refused = sum(&connection(&server.get("/status").await?, name)["refused"]);
        if refused > 0 {
            let line = format!(
                "  {refused} changes are refused by the application, see `drawbridge status`"
            );
            Screen::new().line(Tone::Plain, &line);
        }
        Ok(Found {
            differs: differs || refused > 0,
            returned,
            unread,
        })
    }

    /// Waits a while for what is being put right; an error with what is left.
    async fn to_its_end(&self, server: &Server, name: &str, found: &Value) -> Result<(), Failed> {
        let mut now = Value::Null;
        for _ in 0..LOOKS {
            now = server.get("/status").await?;
            now = connection(&now, name);
            if open(found, &now) == 0 {
                break;
            }
            progress(&format!("{name}: it is being put right"));
            tokio::time::sleep(LOOK).await;
        }
        progress("");
        let left = left(found, &now);
        if left.is_empty() {
            return Ok(());
        }
        Err(Failed {
            text: format!(
                "{name}: not everything is as it was asked for: {}; `drawbridge status` tells more",
                left.join(", ")
            ),
            status: 1,
        })
    }
}

fn connection(status: &Value, name: &str) -> Value {
    let mut all = status["connections"].as_array().into_iter().flatten();
    let found = all.find(|it| it["name"] == name);
    found.cloned().unwrap_or_default()
}

/// Of the numbers in an object.
fn sum(of: &Value) -> u64 {
    let numbers = of.as_object().into_iter().flatten();
    numbers.filter_map(|(_, number)| number.as_u64()).sum()
}

/// What is not done yet of it; memberships are under way at any time where none
/// of them was put right.
fn open(found: &Value, now: &Value) -> u64 {
    let number = |of: &Value| of.as_u64().unwrap_or(0);
    let pending = &now["pending"];
    let ends = number(&pending["users"]) + number(&pending["groups"]);
    let drift = number(&found["missing"]) + number(&found["gone"]);
    let memberships = if drift > 0 {
        number(&pending["memberships"])
    } else {
        0
    };
    ends + memberships
}

/// What a reconciliation leaves, in words.
fn left(found: &Value, now: &Value) -> Vec<String> {
    let number = |of: &Value| of.as_u64().unwrap_or(0);
    let told = &found["left"];
    let back = number(&found["accounts_held"]) + number(&found["accounts_protected"]);
    let told = [
        (number(&told["accounts"]), "accounts are gone"),
        (back, "accounts that are back are not ended"),
        (number(&told["groups"]), "groups are gone"),
        (
            number(&told["memberships"]),
            "memberships are not put right",
        ),
        (
            sum(&now["refused"]),
            "changes are refused by the application",
        ),
        (open(found, now), "changes are still under way"),
        (number(&found["groups_unread"]), UNREAD),
    ];
    let back = RETURNED.map(|(key, _)| number(&found[key]));
    let told = told.into_iter().chain(returned(back));
    let some = told.filter(|(number, _)| *number > 0);
    some.map(|(number, what)| format!("{number} {what}"))
        .collect()
}

/// Whether none has come to an end since the start of the server.
fn is_lost(end: &Value) -> bool {
    end["found"].is_null() && end["error"].is_null()
}

fn bar(now: &Value) -> String {
    let number = |key: &str| now[key].as_u64().unwrap_or(0);
    let (read, all) = (number("groupsRead"), number("groups"));
    if all == 0 {
        return "reading the accounts".to_owned();
    }
    let full = usize::try_from(read.min(all) * 20 / all).unwrap_or(0);
    format!(
        "[{}{}] {read} of {all} groups",
        "#".repeat(full),
        ".".repeat(20 - full)
    )
}

fn show(name: &str, found: &Value, paused: bool) -> bool {
    let screen = Screen::new();
    let number = |key: &str| found[key].as_u64().unwrap_or(0);
    let kinds = [
        "missing",
        "gone",
        "accounts_back",
        "accounts_missing",
        "groups_missing",
    ];
    let differs = kinds.iter().any(|key| number(key) > 0);
    let tone = if differs { Tone::Bad } else { Tone::Good };
    screen.line(
        tone,
        &format!(
            "{name}: {} groups compared; {} memberships are missing, {} that were only found are gone, {} members were never asked for; {} accounts are gone, {} that were ended are back",
            number("groups").saturating_sub(number("groups_unread")),
            number("missing"),
            number("gone"),
            number("unasked").saturating_sub(number("given_back")),
            number("accounts_missing"),
            number("accounts_back"),
        ),
    );
    for user in found["back"].as_array().into_iter().flatten() {
        let line = format!("  + {}", user.as_str().unwrap_or_default());
        screen.line(Tone::Plain, &line);
    }
    if found["applied"] == true && number("accounts_held") > 0 {
        let line = format!(
            "{} accounts that are back are too many to be ended again at once; where they should be, --apply --shrunk does it",
            number("accounts_held")
        );
        screen.paragraph(Tone::Bad, "    ", &line);
    }
    if found["applied"] == true && number("accounts_let_go") > 0 {
        let line = format!(
            "{} users who left, and had an account that the guard rails kept, are being ended",
            number("accounts_let_go")
        );
        screen.paragraph(Tone::Plain, "    ", &line);
    }
    for family in found["families_lost"].as_array().into_iter().flatten() {
        let line = format!(
            "{} is not there any more, as the application answers, and is taken to be gone: \
             whoever was to leave it has, and who is asked for in its groups has nothing of it",
            family.as_str().unwrap_or_default()
        );
        screen.paragraph(Tone::Plain, "    ", &line);
    }
    if number("accounts_protected") > 0 {
        let line = format!(
            "{} accounts that are back are protected and are not ended",
            number("accounts_protected")
        );
        screen.paragraph(Tone::Bad, "    ", &line);
    }
    show_again(screen, found);
    for group in found["details"].as_array().into_iter().flatten() {
        let text = |key: &str| group[key].as_str().unwrap_or_default();
        let called = called(text("name"), text("shown_as"));
        let heading = format!("  {called} ({})", text("group"));
        screen.line(Tone::Heading, &heading);
        let back = || group["given_back"].as_array().into_iter().flatten();
        for (sign, key) in [("-", "missing"), ("~", "gone"), ("?", "unasked_users")] {
            let named = group[key].as_array().into_iter().flatten();
            for user in named.filter(|user| back().all(|it| it["user"] != **user)) {
                screen.line(
                    Tone::Plain,
                    &format!("    {sign} {}", user.as_str().unwrap_or_default()),
                );
            }
        }
        for it in back() {
            let word = |key: &str| it[key].as_str().unwrap_or_default();
            let text = format!(
                "! {} is there, though removed here at {}: given back by somebody in the \
                 application, or never gone",
                word("user"),
                word("removed")
            );
            screen.paragraph(Tone::Bad, "    ", &text);
        }
        for it in group["deleted"].as_array().into_iter().flatten() {
            let word = |key: &str| it[key].as_str().unwrap_or_default();
            let text = format!(
                "! the account {} of a User who was deleted here at {} is there: given back by \
                 somebody in the application, or never gone; it is not touched",
                word("account"),
                word("removed")
            );
            screen.paragraph(Tone::Bad, "    ", &text);
        }
        if let Some(asked) = group["left_out"].as_u64() {
            let text = format!(
                "left out of the configuration, and not compared: nobody is given it, who has it \
                 keeps it until the identity provider takes it away, and {asked} are asked for in it"
            );
            screen.paragraph(Tone::Plain, "    ", &text);
        }
        for (sign, key) in [("!", "more_taken_away"), ("?", "more_unasked")] {
            let more = group[key].as_u64().unwrap_or(0);
            if more > 0 {
                screen.line(Tone::Plain, &format!("    {sign} and {more} more"));
            }
        }
        if let Some(held) = group["held"].as_str() {
            screen.paragraph(Tone::Bad, "    ", held);
        }
    }
    if number("more_details") > 0 {
        let text = format!(
            "and {} groups more, of which there is something to tell",
            number("more_details")
        );
        screen.paragraph(Tone::Plain, "  ", &text);
    }
    if found["applied"] == true && differs && !paused {
        let text = "It is being put right, where nothing else is said; what the application refuses of it is in `drawbridge status`.";
        screen.paragraph(Tone::Plain, "  ", text);
    }
    differs
}

/// Users and Groups that were deleted here and are there.
fn show_again(screen: Screen, found: &Value) {
    let list = |key: &str| found[key].as_array().cloned().unwrap_or_default();
    for it in list("users_again") {
        let word = |key: &str| it[key].as_str().unwrap_or_default();
        let now = if it["shown"] == true {
            format!(
                "it is User {} by now: end it there, or change or delete that User",
                word("id")
            )
        } else {
            "it is not touched, and the next import shows it as a new User".to_owned()
        };
        let text = format!(
            "! the account {} of a User who was deleted here at {} is in use: given back by \
             somebody in the application, or never gone; {now}",
            word("name"),
            word("removed")
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
    for it in list("groups_again") {
        let word = |key: &str| it[key].as_str().unwrap_or_default();
        let now = if it["shown"] == true {
            format!(
                "it is Group {} by now: delete it there, or change or delete that Group",
                word("id")
            )
        } else {
            "it is not touched, and the next import shows it as a new Group".to_owned()
        };
        let text = format!(
            "! the group {}, which was deleted here at {}, is there: made anew by somebody in the \
             application, or never gone; {now}",
            word("name"),
            word("removed")
        );
        screen.paragraph(Tone::Bad, "  ", &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_died_with_its_server_is_none_that_found_nothing() {
        let end = |found: Value, error: Value| json!({ "running": false, "found": found, "error": error });
        assert!(is_lost(&end(Value::Null, Value::Null)));
        assert!(!is_lost(&end(json!({ "missing": 0 }), Value::Null)));
        assert!(!is_lost(&end(Value::Null, json!("it cannot be read"))));
    }
}
