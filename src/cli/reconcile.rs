//! `drawbridge reconcile`: what changed in the application behind the bridge's
//! back, and what to do about it.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{
    ConfigFile, Failed,
    operator::Server,
    screen::{Screen, Tone, progress},
};
use crate::{app, config};

/// How often a running reconciliation is asked where it stands.
const LOOK: Duration = Duration::from_millis(250);

/// Compare the application with what was last observed there, now.
///
/// Without --apply it only tells: memberships that were asked for and are gone (-),
/// or were only found (~), members nobody asked for (?, those who are users here), groups and accounts that are gone, accounts that
/// were ended and are back. With --apply it does what `drift` of the connection
/// says: puts memberships there again, or accepts that they are gone; and ends
/// accounts again. What only one of two readings shows is not believed. A group
/// that lost more than half of its members is only told until three
/// reconciliations, ten minutes apart, show the same, or --shrunk says that it is
/// true. Where the first one since the start finds more than one in twenty
/// missing, nothing is put right and recovery begins: see `drawbridge help recovery`.
///
/// Needs a running server, which also does this by itself, as often as
/// `reconcile` of the connection says. The exit status is 0 only if there is
/// nothing to repair.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// Only this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Repair or accept, as the connection's `drift` says.
    #[arg(long)]
    apply: bool,
    /// Also in groups that lost more than half of their members, and accounts
    /// that are back and too many to be ended again at once.
    #[arg(long, requires = "apply")]
    shrunk: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Reconcile {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let known = config::token_files(&self.config.config)
            .map_err(|problems| Failed::usage(problems.to_string()))?;
        let chosen: Vec<String> = match &self.connection {
            None => known.into_keys().collect(),
            Some(name) if known.contains_key(name) => vec![name.clone()],
            Some(name) => return Err(Failed::usage(format!("there is no connection {name:?}"))),
        };
        let server = Server::find(&self.config)?;
        app::command_runtime()?.block_on(async {
            let mut differs = false;
            for name in chosen {
                differs |= self.one(&server, &name).await?;
            }
            if differs && !self.apply {
                return Err(Failed {
                    text: "there is something to repair; --apply does what `drift` says".into(),
                    status: 1,
                });
            }
            Ok(())
        })
    }

    /// Whether there is something to repair.
    async fn one(&self, server: &Server, name: &str) -> Result<bool, Failed> {
        let order = json!({ "connection": name, "apply": self.apply, "shrunk": self.shrunk });
        server.post("/reconcile", Some(&order)).await?;
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
        Ok(differs)
    }
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
    let differs = ["missing", "gone", "accounts_back"]
        .iter()
        .any(|key| number(key) > 0);
    let tone = if differs { Tone::Bad } else { Tone::Good };
    screen.line(
        tone,
        &format!(
            "{name}: {} groups compared; {} memberships are missing, {} that were only found are gone, {} members were never asked for; {} accounts are gone, {} that were ended are back",
            number("groups"),
            number("missing"),
            number("gone"),
            number("unasked"),
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
    if number("accounts_protected") > 0 {
        let line = format!(
            "{} accounts that are back are protected and are not ended",
            number("accounts_protected")
        );
        screen.paragraph(Tone::Bad, "    ", &line);
    }
    for group in found["details"].as_array().into_iter().flatten() {
        let text = |key: &str| group[key].as_str().unwrap_or_default();
        screen.line(
            Tone::Heading,
            &format!("  {} ({})", text("name"), text("group")),
        );
        for (sign, key) in [("-", "missing"), ("~", "gone"), ("?", "unasked_users")] {
            for user in group[key].as_array().into_iter().flatten() {
                screen.line(
                    Tone::Plain,
                    &format!("    {sign} {}", user.as_str().unwrap_or_default()),
                );
            }
        }
        if let Some(held) = group["held"].as_str() {
            screen.paragraph(Tone::Bad, "    ", held);
        }
    }
    if found["applied"] == true && differs && !paused {
        let text = "It is being put right, where nothing else is said; what the application refuses of it is in `drawbridge status`.";
        screen.paragraph(Tone::Plain, "  ", text);
    }
    differs
}
