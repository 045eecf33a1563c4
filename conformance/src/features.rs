//! What a server says that it has: its configuration, resource types and
//! schemas are read once, and a case that requires something else is skipped
//! with the reason (RFC 7644 section 4). Whether what is said is true is for the
//! cases to find out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::exchange::{ExchangeError, Wire};
use crate::play::FEATURES;
use crate::template::Variables;

/// Told by the member of this name in `ServiceProviderConfig`.
const CONFIGURED: [&str; 6] = ["patch", "bulk", "filter", "sort", "etag", "changePassword"];
/// Found out in other ways.
const OTHERS: [&str; 9] = [
    "cursor",
    "index",
    "users",
    "groups",
    "enterprise",
    "me",
    "search",
    "roles-endpoint",
    "entitlements-endpoint",
];
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:";
/// More operations than this are not sent to find out whether they are refused.
const MOST_OPERATIONS: u64 = 20_000;
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// What is there, and why something is not.
#[derive(Debug, Clone, Default)]
pub struct Features {
    there: BTreeSet<String>,
    reasons: BTreeMap<String, String>,
    /// Limits as variables for the cases.
    limits: BTreeMap<String, u64>,
    /// The `Server` header of the answers, when there is one.
    pub server: String,
}

/// Whether a case may require it.
pub fn is_known(feature: &str) -> bool {
    FEATURES.contains(&feature)
        || CONFIGURED.contains(&feature)
        || OTHERS.contains(&feature)
        || feature.starts_with("User.")
        || feature.starts_with("Group.")
        || feature.starts_with("Enterprise.")
}

impl Features {
    /// Asks the server.
    pub async fn of(wire: &Wire, token: &str) -> Result<Self, ExchangeError> {
        let mut found = Self::default();
        found.config(wire, token).await?;
        found.types(wire, token).await?;
        found.schemas(wire, token).await?;
        found.probes(wire, token).await?;
        Ok(found)
    }

    /// Why a case that requires this cannot be played.
    pub fn lacks(&self, feature: &str) -> Option<String> {
        if self.there.contains(feature) {
            return None;
        }
        let reason = self.reasons.get(feature).cloned();
        Some(reason.unwrap_or_else(|| match feature.split_once('.') {
            Some((of, name)) => match name.split_once(':') {
                Some((name, _)) => format!("/Schemas shows no {name} of {of} that can be written"),
                None => format!("/Schemas shows no {name} of {of}"),
            },
            None => "the server does not show it".to_owned(),
        }))
    }

    pub fn there(&self) -> impl Iterator<Item = &str> {
        self.there.iter().map(String::as_str)
    }

    /// Gives the limits to the cases.
    pub fn fill(&self, variables: &mut Variables) {
        for (name, limit) in &self.limits {
            variables.set(name.as_str(), *limit);
        }
    }

    fn add(&mut self, feature: &str) {
        self.there.insert(feature.to_owned());
    }

    fn judge(&mut self, feature: &str, there: bool, otherwise: impl FnOnce() -> String) {
        if there {
            self.add(feature);
        } else {
            self.reasons.insert(feature.to_owned(), otherwise());
        }
    }

    async fn config(&mut self, wire: &Wire, token: &str) -> Result<(), ExchangeError> {
        let answer = wire
            .plain("GET", "/ServiceProviderConfig", token, None)
            .await?;
        self.server = answer.headers.get("server").cloned().unwrap_or_default();
        let config = answer.json().unwrap_or_default();
        for name in CONFIGURED {
            let there = config[name]["supported"] == true;
            self.judge(name, there, || match answer.status {
                200 => format!("ServiceProviderConfig: {name}.supported is not true"),
                status => format!("GET /ServiceProviderConfig answered {status}"),
            });
        }
        let pagination = &config["pagination"];
        self.judge("cursor", pagination["cursor"] == true, || {
            "ServiceProviderConfig: pagination.cursor is not true".into()
        });
        // Before RFC 9865 there was no other way of paging.
        self.judge("index", pagination["index"] != false, || {
            "ServiceProviderConfig: pagination.index is false".into()
        });
        self.limit(
            "bulk_operations",
            &config["bulk"]["maxOperations"],
            MOST_OPERATIONS,
        );
        self.limit("bulk_bytes", &config["bulk"]["maxPayloadSize"], MOST_BYTES);
        Ok(())
    }

    /// A limit and one more than it, as `NAME` and `over_NAME`.
    fn limit(&mut self, name: &str, value: &Value, most: u64) {
        if let Some(limit) = value.as_u64().filter(|limit| *limit <= most) {
            self.limits.insert(name.to_owned(), limit);
            self.limits.insert(format!("over_{name}"), limit + 1);
        }
    }

    async fn types(&mut self, wire: &Wire, token: &str) -> Result<(), ExchangeError> {
        let answer = wire.plain("GET", "/ResourceTypes", token, None).await?;
        let body = answer.json().unwrap_or_default();
        let types = body["Resources"].as_array().cloned().unwrap_or_default();
        for (feature, endpoint) in [
            ("users", "/Users"),
            ("groups", "/Groups"),
            ("roles-endpoint", "/Roles"),
            ("entitlements-endpoint", "/Entitlements"),
        ] {
            let there = types.iter().any(|of| of["endpoint"] == endpoint);
            self.judge(feature, there, || {
                format!("/ResourceTypes shows no {endpoint}")
            });
        }
        let extensions = types
            .iter()
            .filter_map(|of| of["schemaExtensions"].as_array());
        let there = extensions.flatten().any(|of| of["schema"] == ENTERPRISE);
        self.judge("enterprise", there, || {
            "/ResourceTypes shows no enterprise extension".into()
        });
        Ok(())
    }

    /// Every attribute shown, as `User.title`.
    async fn schemas(&mut self, wire: &Wire, token: &str) -> Result<(), ExchangeError> {
        for (of, urn) in [
            ("User", format!("{SCHEMA}User")),
            ("Group", format!("{SCHEMA}Group")),
            ("Enterprise", ENTERPRISE.to_owned()),
        ] {
            let path = format!("/Schemas/{urn}");
            let answer = wire.plain("GET", &path, token, None).await?;
            let body = answer.json().unwrap_or_default();
            let attributes = body["attributes"].as_array().into_iter().flatten();
            for attribute in attributes {
                let name = attribute["name"].as_str().unwrap_or_default();
                self.add(&format!("{of}.{name}"));
                if attribute["mutability"] != "readOnly" {
                    self.add(&format!("{of}.{name}:write"));
                }
            }
        }
        Ok(())
    }

    async fn probes(&mut self, wire: &Wire, token: &str) -> Result<(), ExchangeError> {
        let me = wire.plain("GET", "/Me", token, None).await?.status;
        self.judge("me", !matches!(me, 403..=405 | 501), || {
            format!("GET /Me answered {me}")
        });
        let body = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 0
        });
        let search = wire
            .plain("POST", "/Users/.search", token, Some(&body))
            .await?
            .status;
        self.judge("search", !matches!(search, 404 | 405 | 501), || {
            format!("POST /Users/.search answered {search}")
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_the_place_that_lacks_it() {
        let mut features = Features::default();
        features.judge("sort", false, || "it says no".into());
        features.add("User.title");
        assert_eq!(features.lacks("sort").as_deref(), Some("it says no"));
        assert_eq!(features.lacks("User.title"), None);
        assert!(
            features
                .lacks("User.nickName")
                .is_some_and(|why| why.contains("nickName"))
        );
    }

    #[test]
    fn a_limit_too_large_to_try_is_none() {
        let mut features = Features::default();
        features.limit(
            "bulk_operations",
            &Value::from(MOST_OPERATIONS + 1),
            MOST_OPERATIONS,
        );
        features.limit("bulk_bytes", &Value::from(10), MOST_BYTES);
        assert_eq!(features.limits.len(), 2);
    }
}
