//! Requests by the front door.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Reply, Tenant, World, group, user};

impl World {
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_send(method, path, body).await.expect("an answer")
    }

    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        self.try_send_to((&self.base, &self.token), method, path, body)
            .await
    }

    /// The same through another connection.
    pub async fn try_send_as(
        &self,
        tenant: &Tenant,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        self.try_send_to((&tenant.base, &tenant.token), method, path, body)
            .await
    }

    async fn try_send_to(
        &self,
        (base, token): (&str, &str),
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .client
            .request(method, format!("{base}{path}"))
            .bearer_auth(token)
            .header("content-type", "application/scim+json");
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, operations: Value) -> Reply {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        });
        self.send("PATCH", path, Some(body)).await
    }

    /// Creates a user and returns its id.
    pub async fn user(&self, name: &str) -> String {
        self.post("/Users", user(name)).await.expect(201).id()
    }

    /// Creates users `prefix0@..`, `prefix1@..` and returns their ids.
    pub async fn users(&self, prefix: &str, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        for start in (0..count).step_by(16) {
            let chunk = (start..count.min(start + 16))
                .map(|i| async move { self.user(&format!("{prefix}{i}")).await });
            ids.extend(futures_util::future::join_all(chunk).await);
        }
        ids
    }

    /// Creates a group with members and returns its id.
    pub async fn group(&self, name: &str, members: &[String]) -> String {
        self.post("/Groups", group(name, members))
            .await
            .expect(201)
            .id()
    }

    /// The ids a group shows.
    pub async fn members(&self, group: &str) -> BTreeSet<String> {
        let reply = self.get(&format!("/Groups/{group}")).await.expect(200);
        let list = reply.body["members"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.iter()
            .map(|m| m["value"].as_str().expect("a value").to_owned())
            .collect()
    }
}
