//! The ground that a profile is played on: a complete first user before, and
//! nothing left of its own afterwards. All through SCIM itself, so that it
//! works for any server.

use serde_json::{Value, json};

use crate::exchange::ExchangeError;
use crate::play::PlayError;
use crate::player::Player;
use crate::template::percent_encode;

impl Player<'_> {
    /// Okta's own suite reads the first user of the tenant and expects it to be
    /// complete, so a tenant without one is given one.
    pub(crate) async fn seed(&mut self) -> Result<Option<String>, PlayError> {
        let token = self.options.token.as_str();
        let first = self
            .wire
            .plain("GET", "/Users?startIndex=1&count=1", token, None)
            .await?;
        if matches!(first.status, 401 | 403) {
            return Err(PlayError::Refused(first.status));
        }
        let body = first.json().unwrap_or_default();
        if body.pointer("/Resources/0").is_some_and(complete) {
            return Ok(None);
        }
        let name = self
            .variables
            .text("seed.{{run}}@example.com")
            .map_err(ExchangeError::from)?;
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name,
            "externalId": format!("seed-{name}"),
            "name": {"givenName": "Seed", "familyName": "User"},
            "displayName": "Seed User",
            "emails": [{"value": name, "type": "work", "primary": true}],
            "active": true
        });
        let answer = self
            .wire
            .plain("POST", "/Users", token, Some(&user))
            .await?;
        let id = answer
            .json()
            .and_then(|body| Some(body.get("id")?.as_str()?.to_owned()));
        let Some(id) = id.filter(|_| answer.status == 201) else {
            let body = self.secrets.body(&answer.body);
            self.notes.push(format!(
                "no seed user: POST /Users answered {}: {body}",
                answer.status
            ));
            return Ok(None);
        };
        self.notes.push(format!(
            "seed user {name} made, because no complete first user was there"
        ));
        Ok(Some(format!("/Users/{}", percent_encode(&id))))
    }

    /// Deletes what the cases left behind, newest first, and then the seed user.
    pub(crate) async fn tidy(&mut self, seed: Option<String>) {
        if self.options.keep {
            return;
        }
        let mut removed = self.forget(0).await;
        if let Some(seed) = seed {
            removed += usize::from(self.delete(&seed).await);
        }
        if removed > 0 {
            self.notes
                .push(format!("{removed} resources removed afterwards"));
        }
    }

    /// Deletes what was made since then, newest first.
    pub(crate) async fn forget(&mut self, since: usize) -> usize {
        let mut removed = 0;
        for path in self.made.split_off(since).into_iter().rev() {
            removed += usize::from(self.delete(&path).await);
        }
        removed
    }

    async fn delete(&mut self, path: &str) -> bool {
        let token = &self.options.token;
        let problem = match self.wire.plain("DELETE", path, token, None).await {
            Ok(answer) if matches!(answer.status, 200 | 204) => return true,
            Ok(answer) if answer.status == 404 => return false,
            Ok(answer) => format!("answered {}", answer.status),
            Err(error) => error.to_string(),
        };
        self.notes
            .push(format!("left behind: DELETE {path}: {problem}"));
        false
    }
}

fn complete(user: &Value) -> bool {
    let filled = |pointer: &str| {
        user.pointer(pointer)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    [
        "/id",
        "/userName",
        "/name/givenName",
        "/name/familyName",
        "/emails/0/value",
    ]
    .into_iter()
    .all(filled)
        && user.get("active").is_some_and(Value::is_boolean)
}
