//! The record of one operation: what it takes and what it answers, as an
//! `OpenAPI` Operation Object. Components are meant by their names; a test sees
//! that each of them is there.

use serde_json::{Map, Value, json};

use super::answers;
use crate::http::reply::MEDIA_TYPE;

/// Refusals that every request can meet, whatever it asks for.
const ALWAYS: [u16; 7] = [400, 401, 414, 429, 431, 500, 503];
/// Refusals that a body can meet besides.
const OF_BODIES: [u16; 3] = [408, 413, 415];

/// What is told of one method of one path.
#[derive(Debug, Clone)]
pub(in crate::http) struct Operation {
    id: String,
    tag: &'static str,
    summary: String,
    description: Option<&'static str>,
    any_id: bool,
    parameters: Vec<&'static str>,
    body: Option<String>,
    answers: Vec<Answer>,
    refusals: Vec<u16>,
    links: Vec<(&'static str, String)>,
}

/// A success: its status, what it means, and what comes with it.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    means: &'static str,
    content: Option<(&'static str, String)>,
    headers: &'static [&'static str],
}

impl Operation {
    /// `id` is the document's own name of the operation.
    pub(super) fn new(
        id: impl Into<String>,
        tag: &'static str,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            tag,
            summary: summary.into(),
            description: None,
            any_id: false,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            links: Vec::new(),
        }
    }

    pub(super) fn explained(self, text: &'static str) -> Self {
        Self {
            description: Some(text),
            ..self
        }
    }

    /// The `id` in its path is not looked up.
    pub(super) fn of_any_id(self) -> Self {
        Self {
            any_id: true,
            ..self
        }
    }

    /// Parameter components.
    pub(super) fn takes(mut self, parameters: &[&'static str]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Whether it takes a parameter.
    pub(in crate::http) fn has(&self, parameter: &str) -> bool {
        self.parameters.contains(&parameter)
    }

    /// The schema component of the body.
    pub(super) fn body(mut self, schema: impl Into<String>) -> Self {
        self.body = Some(schema.into());
        self.refuses(&OF_BODIES)
    }

    /// An answer with a body of a schema component.
    pub(super) fn answers(
        self,
        status: u16,
        means: &'static str,
        schema: impl Into<String>,
        headers: &'static [&'static str],
    ) -> Self {
        self.answer(status, means, Some((MEDIA_TYPE, schema.into())), headers)
    }

    /// An answer without a body.
    pub(super) fn answers_bare(
        self,
        status: u16,
        means: &'static str,
        headers: &'static [&'static str],
    ) -> Self {
        self.answer(status, means, None, headers)
    }

    /// An answer in plain JSON, not of SCIM's own media type.
    pub(super) fn answers_json(self, means: &'static str, schema: impl Into<String>) -> Self {
        let content = ("application/json", schema.into());
        self.answer(200, means, Some(content), &["ETag"])
    }

    fn answer(
        mut self,
        status: u16,
        means: &'static str,
        content: Option<(&'static str, String)>,
        headers: &'static [&'static str],
    ) -> Self {
        self.answers.push(Answer {
            status,
            means,
            content,
            headers,
        });
        self
    }

    /// Refusals besides those that every request can meet.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// Says that the `id` of what is answered is the `id` of another operation.
    pub(super) fn leads_to(mut self, name: &'static str, operation: impl Into<String>) -> Self {
        self.links.push((name, operation.into()));
        self
    }

    /// The Operation Object; `path` says whether there is an `id` in it.
    pub(super) fn to_json(&self, path: &str) -> Value {
        let mut told = Map::new();
        told.insert("operationId".into(), self.id.as_str().into());
        told.insert("tags".into(), json!([self.tag]));
        told.insert("summary".into(), self.summary.as_str().into());
        if let Some(text) = self.description {
            told.insert("description".into(), text.into());
        }
        let mut parameters: Vec<Value> = self
            .parameters
            .iter()
            .map(|p| named("parameters", p))
            .collect();
        if path.ends_with("/{id}") {
            let kind = match self.any_id {
                true => "any",
                false => path.trim_start_matches('/').trim_end_matches("/{id}"),
            };
            parameters.insert(0, named("parameters", &format!("{kind}.id")));
        }
        told.insert("parameters".into(), parameters.into());
        if let Some(schema) = &self.body {
            let schema = json!({"schema": named("schemas", schema)});
            let content = json!({MEDIA_TYPE: schema, "application/json": schema});
            told.insert(
                "requestBody".into(),
                json!({"required": true, "content": content}),
            );
        }
        told.insert("responses".into(), self.responses());
        told.into()
    }

    fn responses(&self) -> Value {
        let mut responses = Map::new();
        for answer in &self.answers {
            responses.insert(answer.status.to_string(), self.success(answer));
        }
        let mut refusals: Vec<u16> = ALWAYS.iter().chain(&self.refusals).copied().collect();
        refusals.sort_unstable();
        refusals.dedup();
        for status in refusals {
            let status = status.to_string();
            let response = named("responses", &status);
            responses.insert(status, response);
        }
        responses.into()
    }

    fn success(&self, answer: &Answer) -> Value {
        let mut told = Map::new();
        told.insert("description".into(), answer.means.into());
        told.insert("headers".into(), answers::with_headers(answer.headers));
        if let Some((kind, schema)) = &answer.content {
            let schema = json!({"schema": named("schemas", schema)});
            told.insert("content".into(), json!({*kind: schema}));
        }
        if !self.links.is_empty() {
            let link = |id: &str| json!({"operationId": id, "parameters": {"path.id": "$response.body#/id"}});
            let links = self.links.iter();
            let links: Map<_, _> = links.map(|(n, id)| ((*n).to_owned(), link(id))).collect();
            told.insert("links".into(), links.into());
        }
        told.into()
    }
}

/// A reference to a component.
pub(super) fn named(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}
