//! `drawbridge import`: reads the application now, while no server runs.

use clap::Args;

use super::{
    ConfigFile, Failed,
    screen::{Screen, Tone, called, progress},
    status::{NAMED, members_unknown},
};
use crate::{
    app::{self, StartError},
    bridge::{
        Bridge, Progress,
        switch::{self, Switch},
    },
    config::{self, Config},
    console::beside,
    store::{Returned, StoreError},
    telemetry,
};

/// Read the application's users and groups into the store, once, now.
///
/// What is already in the application becomes visible as SCIM Users and Groups,
/// so that identity providers can match it. Nothing that an identity provider
/// wrote is changed, and nothing in the application.
///
/// A running server imports by itself, at start and at every `import` interval
/// of the connection; this command is for when it does not run. The exit status is 1
/// where it finds what was taken away or deleted here.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Only this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Believe lists that lost more than half at once.
    ///
    /// Where an application is only shown, what is gone there goes here. A list
    /// that lost too much is rather cut off, and is believed when three imports,
    /// ten minutes apart, agree.
    #[arg(long)]
    shrunk: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Import {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let config = config::read(&self.config.config)
            .map_err(|problems| Failed::usage(problems.to_string()))?;
        telemetry::start(&config.log);
        app::command_runtime()?.block_on(self.import(&config))
    }

    async fn import(&self, config: &Config) -> Result<(), Failed> {
        let chosen = self.config.chosen(config, self.connection.as_deref())?;
        let store = app::open_store(&config.store).map_err(|error| match error {
            StartError::Store {
                source: StoreError::Unavailable(_),
                path,
            } => Failed {
                text: format!(
                    "the store {} is in use, most likely by a running server; it imports by itself at start and as often as `import` says. Restart it to import now, or stop it first",
                    path.display()
                ),
                status: 1,
            },
            other => Failed::from(other),
        })?;
        let setups = chosen
            .iter()
            .map(|connection| app::set_up(connection))
            .collect::<Result<Vec<_>, _>>()?;
        app::remember_calls(&config.store, &setups);
        let bridge = Bridge::start(
            store,
            setups,
            tokio::runtime::Handle::current(),
            Switch::at(beside(&config.store, switch::FLAG)),
        )
        .await?;
        let mut returned = Vec::new();
        for connection in chosen {
            returned.extend(one(&bridge, &connection.name, self.shrunk).await?);
        }
        if returned.is_empty() {
            return Ok(());
        }
        Err(Failed {
            text: format!(
                "{}; take that away there, or ask for it here; `drawbridge reconcile` tells more",
                returned.join("; ")
            ),
            status: 1,
        })
    }
}

/// What is there though it was taken away here, in words.
fn told(name: &str, returned: Returned) -> Option<String> {
    let counts = [
        (returned.memberships, "memberships"),
        (returned.users, "Users"),
        (returned.groups, "Groups"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!counts.is_empty()).then(|| {
        format!(
            "{name}: {} are there, though they were taken away or deleted here (given back by \
             somebody in the application, or never gone)",
            counts.join(", ")
        )
    })
}

async fn one(
    bridge: &std::sync::Arc<Bridge>,
    name: &str,
    shrunk: bool,
) -> Result<Option<String>, Failed> {
    let Some(session) = bridge.own_session(name, "import") else {
        return Ok(None);
    };
    let show = |at: Progress| {
        progress(&format!(
            "{name}: {} users read, {} of {} groups",
            at.users, at.groups_read, at.groups
        ));
    };
    let seen = session.import(shrunk, &show).await;
    progress("");
    let seen = seen.map_err(|error| Failed {
        text: format!("{name}: {error}; `drawbridge check` tests the application"),
        status: 1,
    })?;
    Screen::new().line(
        Tone::Plain,
        &format!(
            "{name}: {} users ({} new), {} groups ({} new), {} new memberships, {} members that are no known user",
            seen.users_seen,
            seen.users_new,
            seen.groups_seen,
            seen.groups_new,
            seen.members_new,
            seen.members_unknown
        ),
    );
    if seen.doubted > 0 {
        let text = format!(
            "{} users, groups or memberships are not there any more, too many of a list to be \
             believed at once; import again in ten minutes, or with --shrunk",
            seen.doubted
        );
        Screen::new().line(Tone::Bad, &text);
    }
    if seen.unread > 0 {
        let text = format!(
            "{} groups are here as they were, because their members cannot be read",
            seen.unread
        );
        Screen::new().line(Tone::Bad, &text);
        for group in session.unread_groups() {
            let called = called(&group.name, &group.shown_as);
            let text = format!("  {called}: {}", group.error);
            Screen::new().line(Tone::Bad, &text);
        }
    }
    if seen.several > 0 {
        let text = format!(
            "{} users are shown with several memberships where one is all there can be; what is \
             known of theirs there stays as it is, and the log and the status of the server name \
             them; leave each one of them, in the application",
            seen.several
        );
        Screen::new().line(Tone::Bad, &text);
    }
    if seen.members_unknown > 0 {
        let groups = session.with_unknown(NAMED).await.unwrap_or_default();
        let named = groups.iter().map(|it| (it.name.as_str(), it.members));
        let text = members_unknown(seen.members_unknown, named);
        Screen::new().line(Tone::Plain, &text);
    }
    let unshown = seen.unshown.saturating_sub(seen.members_unknown);
    if unshown > 0 {
        let text = format!(
            "{} users or groups are not shown, because others have names here that SCIM does not \
             tell from theirs, or the same address, or because they cannot be read, or show nothing \
             that they are known by",
            unshown
        );
        Screen::new().line(Tone::Bad, &text);
        for one in session.left_aside() {
            Screen::new().line(Tone::Plain, &format!("  left aside: {}", one.told()));
        }
    }
    Ok(told(name, seen.returned))
}
