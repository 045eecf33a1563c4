//! What stands in for what the application behind a server does not make, change
//! or delete, so that everything else of a profile is played all the same: a
//! Group that is there already for one whose creation is refused, the name of a
//! Group or the address of a user that stays for a new one that is refused. What
//! is refused counts as skipped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::case::{Case, Request};
use crate::player::Player;
use crate::report::Failure;
use crate::template::percent_encode;

#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Names of Groups that nothing stands for yet.
    left: VecDeque<String>,
    /// Variables that such a Group has given.
    given: BTreeSet<String>,
    /// Path to the case whose deletion of it was refused.
    kept: BTreeMap<String, String>,
}

impl Standing {
    pub(crate) fn of(groups: &[String]) -> Self {
        Self {
            left: groups.iter().cloned().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn is_given(&self, variable: &str) -> bool {
        self.given.contains(variable)
    }
}

impl Player<'_> {
    /// Makes up for a request that was refused as one that the application cannot
    /// do, and says in what way.
    pub(crate) async fn stand_in(&mut self, case: &Case) -> Result<String, Failure> {
        let path = self.variables.path(&case.request.path).unwrap_or_default();
        match case.request.method.as_str() {
            "POST" if path == "/Groups" && !case.save.is_empty() => self.take(case).await,
            "PATCH" | "PUT" => self.leave(case, &path).await,
            "DELETE" => {
                let kept = &mut self.standing.kept;
                kept.entry(path).or_insert_with(|| case.name.clone());
                Ok(String::new())
            }
            _ => Ok(String::new()),
        }
    }

    /// Why something is found where it should have been deleted.
    pub(crate) fn is_there_still(&self, case: &Case) -> Option<String> {
        let path = self.variables.path(&case.request.path).ok()?;
        let by = self.standing.kept.get(&path)?;
        (case.expect.status == [404]).then(|| format!("it is there still, as {by} was skipped"))
    }

    /// From here on a Group that is there already is the one that was asked for.
    async fn take(&mut self, case: &Case) -> Result<String, Failure> {
        let Some(name) = self.standing.left.pop_front() else {
            return Ok(String::new());
        };
        let asked = self.asked_name(&case.request).unwrap_or_default();
        let filter = percent_encode(&format!("displayName eq {}", Value::from(name.as_str())));
        let found = self.read(&format!("/Groups?filter={filter}")).await?;
        let one = found["Resources"].as_array().filter(|all| all.len() == 1);
        let Some(group) = one.and_then(|all| all.first()) else {
            return Err(unusable(&format!("there is no one Group called {name:?}")));
        };
        for (variable, place) in &case.save {
            let Some(value) = group.get(place) else {
                return Err(unusable(&format!("the Group {name:?} has no {place}")));
            };
            self.variables.save(variable, value.clone());
            let variable = variable.trim_end_matches("[]").to_owned();
            self.standing.given.insert(variable);
        }
        self.variables.put_instead(&asked, &name);
        Ok(format!("; {name:?} stands for it"))
    }

    /// Asks again for everything but the new name or address.
    async fn leave(&mut self, case: &Case, path: &str) -> Result<String, Failure> {
        let is_group = path.starts_with("/Groups/");
        let asked = if is_group {
            self.asked_name(&case.request)
        } else {
            self.asked_address(&case.request)
        };
        let Some(asked) = asked.filter(|_| !self.options.groups.is_empty()) else {
            return Ok(String::new());
        };
        let found = self.read(path).await?;
        let stays = if is_group {
            &found["displayName"]
        } else {
            let mut emails = found["emails"].as_array().into_iter().flatten();
            let primary = emails.find(|email| email["primary"] == true);
            primary.map_or(&Value::Null, |email| &email["value"])
        };
        let Some(stays) = stays.as_str().filter(|stays| *stays != asked) else {
            return Ok(String::new());
        };
        self.variables.put_instead(&asked, stays);
        self.refused = None;
        let (request, answer) = self.send(&case.request).await?;
        let main = (&case.expect, &case.save, case.then.as_slice());
        self.follow(main, &request, &answer).await?;
        Ok("; everything else of it was asked for again, and passed".into())
    }

    /// The address that a PATCH asks for by a path.
    fn asked_address(&self, request: &Request) -> Option<String> {
        let body = self.variables.value(request.body.as_ref()?).ok()?;
        let mut operations = body["Operations"].as_array()?.iter();
        let about = |path: &str| {
            let parts = path.rsplit_once('.');
            parts.is_some_and(|(of, part)| of.starts_with("emails") && part == "value")
        };
        let found = operations.find(|it| it["path"].as_str().is_some_and(about))?;
        found["value"].as_str().map(str::to_owned)
    }

    /// The displayName that a body asks for.
    fn asked_name(&self, request: &Request) -> Option<String> {
        let body = self.variables.value(request.body.as_ref()?).ok()?;
        let operations = body["Operations"].as_array().into_iter().flatten();
        let mut operations = operations.map(|operation| {
            let whole = operation["path"] == "displayName";
            let value = &operation["value"];
            if whole { value } else { &value["displayName"] }
        });
        let name = operations.find(|value| value.is_string());
        name.unwrap_or(&body["displayName"])
            .as_str()
            .map(str::to_owned)
    }

    async fn read(&self, path: &str) -> Result<Value, Failure> {
        let token = self.options.token.as_str();
        let answer = self.wire.plain("GET", path, token, None).await;
        let answer = answer.map_err(|error| unusable(&error.to_string()))?;
        let body = answer.json().filter(|_| answer.status == 200);
        body.ok_or_else(|| unusable(&format!("GET {path} answered {}", answer.status)))
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new(vec![format!("nothing can stand for it: {why}")], "")
}
