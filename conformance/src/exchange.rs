//! One request on the wire and its answer. Requests go out as the case writes
//! them: raw queries byte for byte, empty headers as empty headers, no header
//! of our own but the Content-Type of a body that names none. Redirects are not
//! followed, answers are read up to a bound, and what is kept for reports has
//! its secrets struck out.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::case::{Base, Request};
use crate::redact::Secrets;
use crate::template::{TemplateError, Variables, percent_encode};

/// A request with every placeholder filled.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub took: Duration,
}

/// A request or an answer as a report shows it: readable, bounded, redacted.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Shown {
    /// `PATCH http://…` or `HTTP 200`.
    pub line: String,
    pub headers: Vec<String>,
    pub body: String,
}

#[derive(Debug, Error)]
pub enum ExchangeError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the request cannot be sent as written: {0}")]
    Malformed(String),
    #[error("no connection to {0}")]
    Unreachable(String),
    #[error("no answer within {0} s")]
    TimedOut(u64),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer broke off: {0}")]
    Broken(String),
}

/// Sends requests to one server.
pub struct Wire {
    client: reqwest::Client,
    base: String,
    timeout: Duration,
    largest_answer: usize,
}

impl Wire {
    /// `base` is the SCIM base URL, with or without a slash at its end.
    pub fn new(
        base: &str,
        timeout: Duration,
        largest_answer: usize,
    ) -> Result<Self, ExchangeError> {
        let url = reqwest::Url::parse(base)
            .map_err(|error| ExchangeError::Malformed(format!("{base}: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(ExchangeError::Malformed(format!(
                "{base}: give an http or https URL"
            )));
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10).min(timeout))
            .timeout(timeout);
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| ExchangeError::Malformed(chain(&error)))?,
            base: base.trim_end_matches('/').to_owned(),
            timeout,
            largest_answer,
        })
    }

    /// Fills a request.
    pub fn prepare(
        &self,
        request: &Request,
        variables: &Variables,
    ) -> Result<Outgoing, ExchangeError> {
        let mut url = match request.base {
            Some(Base::Absolute) => variables.text(&request.path)?,
            None => format!("{}{}", self.base, variables.path(&request.path)?),
        };
        if let Some(query) = self.query(request, variables)? {
            url.push('?');
            url.push_str(&query);
        }
        let mut headers = Vec::with_capacity(request.headers.len() + 1);
        for (name, value) in &request.headers {
            headers.push((name.clone(), variables.text(value)?));
        }
        let (body, media_type) = body(request, variables)?;
        if body.is_some()
            && !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("Content-Type".into(), media_type.into()));
        }
        Ok(Outgoing {
            method: request.method.clone(),
            url,
            headers,
            body,
        })
    }

    #[expect(clippy::unused_self, reason = "reads as one of the steps of prepare")]
    fn query(
        &self,
        request: &Request,
        variables: &Variables,
    ) -> Result<Option<String>, ExchangeError> {
        if let Some(raw) = &request.raw_query {
            return Ok(Some(variables.text(raw)?));
        }
        if request.query.is_empty() {
            return Ok(None);
        }
        let mut pairs = Vec::new();
        for (name, value) in &request.query {
            let text = match value {
                Value::String(text) => variables.text(text)?,
                other => other.to_string(),
            };
            pairs.push(format!(
                "{}={}",
                percent_encode(name),
                percent_encode(&text)
            ));
        }
        Ok(Some(pairs.join("&")))
    }

    /// Sends a request below the base URL with a bearer token: seeding and tidying.
    pub async fn plain(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ExchangeError> {
        let mut headers = vec![
            ("Accept".to_owned(), "application/scim+json".to_owned()),
            ("Authorization".to_owned(), format!("Bearer {token}")),
        ];
        if body.is_some() {
            headers.push(("Content-Type".into(), "application/scim+json".into()));
        }
        self.send(&Outgoing {
            method: method.into(),
            url: format!("{}{path}", self.base),
            headers,
            body: body.map(|body| body.to_string().into_bytes()),
        })
        .await
    }

    pub async fn send(&self, request: &Outgoing) -> Result<Answer, ExchangeError> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| {
            ExchangeError::Malformed(format!("method {}: {error}", request.method))
        })?;
        let url = reqwest::Url::parse(&request.url)
            .map_err(|error| ExchangeError::Malformed(format!("{}: {error}", request.url)))?;
        let mut builder = self
            .client
            .request(method, url)
            .headers(header_map(&request.headers)?);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let started = Instant::now();
        let mut response = builder
            .send()
            .await
            .map_err(|error| self.failure(&error, &request.url))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect::<BTreeMap<_, _>>();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.failure(&error, &request.url))?
        {
            if body.len() + chunk.len() > self.largest_answer {
                return Err(ExchangeError::TooLarge(self.largest_answer));
            }
            body.extend_from_slice(&chunk);
        }
        let encoding = headers.get("content-encoding").map_or("", String::as_str);
        let body = decoded(encoding, body, self.largest_answer)?;
        Ok(Answer {
            status,
            headers,
            body,
            took: started.elapsed(),
        })
    }

    fn failure(&self, error: &reqwest::Error, url: &str) -> ExchangeError {
        if error.is_connect() {
            ExchangeError::Unreachable(format!("{url}: {}", chain(error)))
        } else if error.is_timeout() {
            ExchangeError::TimedOut(self.timeout.as_secs())
        } else {
            ExchangeError::Broken(chain(error))
        }
    }
}

impl Outgoing {
    pub fn shown(&self, secrets: &Secrets) -> Shown {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| secrets.header(name, value))
            .collect();
        Shown {
            line: secrets.text(&format!("{} {}", self.method, self.url)),
            headers,
            body: secrets.body(self.body.as_deref().unwrap_or_default()),
        }
    }
}

impl Answer {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn shown(&self, secrets: &Secrets) -> Shown {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| secrets.header(name, value))
            .collect();
        Shown {
            line: format!("HTTP {} after {} ms", self.status, self.took.as_millis()),
            headers,
            body: secrets.body(&self.body),
        }
    }
}

fn body(
    request: &Request,
    variables: &Variables,
) -> Result<(Option<Vec<u8>>, &'static str), ExchangeError> {
    const SCIM: &str = "application/scim+json";
    if let Some(body) = &request.body {
        return Ok((Some(variables.value(body)?.to_string().into_bytes()), SCIM));
    }
    if let Some(raw) = &request.raw_body {
        return Ok((Some(variables.text(raw)?.into_bytes()), SCIM));
    }
    let Some(form) = &request.form else {
        return Ok((None, SCIM));
    };
    let mut fields = Vec::new();
    for (name, value) in form {
        fields.push(format!(
            "{}={}",
            percent_encode(name),
            percent_encode(&variables.text(value)?)
        ));
    }
    Ok((
        Some(fields.join("&").into_bytes()),
        "application/x-www-form-urlencoded",
    ))
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, ExchangeError> {
    let malformed = |name: &str, why: &dyn std::fmt::Display| {
        ExchangeError::Malformed(format!("header {name}: {why}"))
    };
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let key =
            HeaderName::from_bytes(name.as_bytes()).map_err(|error| malformed(name, &error))?;
        let value = HeaderValue::from_str(value).map_err(|error| malformed(name, &error))?;
        map.append(key, value);
    }
    Ok(map)
}

/// Undoes the compression that a case's own Accept-Encoding allowed.
fn decoded(encoding: &str, body: Vec<u8>, largest: usize) -> Result<Vec<u8>, ExchangeError> {
    let encoding = encoding.trim().to_ascii_lowercase();
    let limit = largest as u64 + 1;
    let mut plain = Vec::new();
    let read = match encoding.as_str() {
        "" | "identity" => return Ok(body),
        _ if body.is_empty() => return Ok(body),
        "gzip" | "x-gzip" => flate2::read::MultiGzDecoder::new(body.as_slice())
            .take(limit)
            .read_to_end(&mut plain),
        "deflate" => flate2::read::ZlibDecoder::new(body.as_slice())
            .take(limit)
            .read_to_end(&mut plain),
        other => {
            return Err(ExchangeError::Broken(format!(
                "Content-Encoding {other} was not asked for"
            )));
        }
    };
    read.map_err(|error| ExchangeError::Broken(format!("Content-Encoding {encoding}: {error}")))?;
    if plain.len() > largest {
        return Err(ExchangeError::TooLarge(largest));
    }
    Ok(plain)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
