//! The live test behind `drawbridge check`: everything that the bridge has to
//! see is read once, and every failure has a remedy. The rights to write cannot
//! be tried without writing, and are said to be untried.

use super::{Snyk, api::Group, settings::Sso};
use crate::upstream::{Finding, UpstreamError};

impl Snyk {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let visible = self.api.groups().await;
        if let Err(error @ (UpstreamError::Later { .. } | UpstreamError::Unknown { .. })) = &visible
        {
            return vec![bad(
                format!("{} does not answer as an API would: {error}", self.base),
                "check region or base_url (with /rest at its end), the network between, and the \
                 server's certificate (ca_file trusts a private authority)",
            )];
        }
        let mut found = vec![good(format!("{} answers", self.base))];
        let refused = |error: &UpstreamError| matches!(error, UpstreamError::Denied { reason } if !reason.starts_with("answered 403"));
        if visible.as_ref().is_err_and(refused) {
            found.push(bad(
                "Snyk does not accept the token".into(),
                "put the key of a service account of the Snyk Group where token points, and set \
                 token_kind = \"bearer\" for an OAuth token; a file is read again by itself",
            ));
            return found;
        }
        let configured = self.families.configured();
        match visible {
            // That list is beta, and nothing else asks for it then.
            Err(error) if !configured.is_empty() => found.push(good(format!(
                "groups are not listed ({error}), which those of the configuration do not need"
            ))),
            Err(error) => found.push(right(Err(error), "list groups")),
            Ok(groups) => {
                let told = format!("list groups; it sees {}", groups.len());
                found.push(right(Ok(told), "list groups"));
                for group in groups.iter().filter(|_| configured.is_empty()) {
                    self.check_group(group, &mut found).await;
                }
            }
        }
        for id in &configured {
            match self.api.group(id).await {
                Ok(Some(group)) => self.check_group(&group, &mut found).await,
                Ok(None) => found.push(bad(
                    format!("the Snyk Group {id} of the configuration is not visible to the token"),
                    "correct its id under groups, or make the token in that Snyk Group",
                )),
                Err(error) => found.push(right(Err(error), &format!("read the Snyk Group {id}"))),
            }
        }
        if found.iter().all(|finding| finding.ok) {
            found.push(good(
                "the rights to write are not tried, because trying would change something: the token \
                 needs group.membership.add, edit and delete"
                    .into(),
            ));
        }
        found
    }

    async fn check_group(&self, group: &Group, found: &mut Vec<Finding>) {
        let id = &group.id;
        let all = self.roster(id, "check").await;
        let told = all.as_ref().map(|all| {
            let roles: Vec<String> = self
                .families
                .remote(group, all)
                .iter()
                .filter_map(|it| it.fields.get("displayName").map(|name| format!("{name:?}")))
                .collect();
            format!(
                "list the {} memberships of {:?}, whose SCIM Groups are {}",
                all.len(),
                group.name,
                if roles.is_empty() {
                    "none".to_owned()
                } else {
                    roles.join(", ")
                }
            )
        });
        let told = told.map_err(Clone::clone);
        found.push(right(told, "list memberships"));
        let Ok(all) = all else { return };
        for name in self.families.unresolved(id) {
            found.push(bad(
                format!(
                    "nobody in {:?} has the role {name:?}, so its id is not known",
                    group.name
                ),
                "write role_id beside it under groups, or give the role to somebody",
            ));
        }
        let mut administrators = all.iter();
        if !administrators.any(|it| self.administers(&it.role_id, Some(&it.role_name))) {
            found.push(bad(
                format!(
                    "nobody in {:?} has the role {:?}, so the last administrator is not known and not \
                     protected",
                    group.name, self.settings.administrator_role
                ),
                "name the role that administers in administrator_role",
            ));
        }
        if self.settings.sso != Sso::Ignore {
            let read = self.api.sso_connections(id).await;
            let told = read.map(|list| format!("read the {} SSO connections of it", list.len()));
            found.push(right(told, "read SSO connections"));
        }
    }
}

fn right(result: Result<String, UpstreamError>, what: &str) -> Finding {
    match result {
        Ok(told) => good(format!("the token may {told}")),
        Err(UpstreamError::Denied { reason }) => bad(
            format!("the token may not {what}: {reason}"),
            "give the service account a role with group.read and group.membership.read (for sso \
             also those of the SSO connections)",
        ),
        Err(error) => bad(
            format!("{what}: {error}"),
            "try again; if it stays, check region and version",
        ),
    }
}

fn good(what: String) -> Finding {
    Finding {
        ok: true,
        what,
        remedy: None,
    }
}

fn bad(what: String, remedy: &str) -> Finding {
    Finding {
        ok: false,
        what,
        remedy: Some(remedy.to_owned()),
    }
}
