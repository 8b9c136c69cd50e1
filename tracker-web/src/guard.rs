//! What every request passes: the checks that keep other sites out, the headers that keep the page safe, and limits.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use crate::state::App;
use crate::view::layout::problem;

/// The longest time of a request.
const LONGEST: Duration = Duration::from_secs(20);

/// Nothing but the page's own style, script and addresses; nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Other sites learn nothing. With `no-referrer`, the page's own forms would have no `Origin`.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Checks a request, answers it within a time, and adds the headers to any response.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&app, &request) {
        Some(refusal) => refusal,
        None => limited(&app, request, next).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn limited(app: &App, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.requests.try_acquire() else {
        let why = "too many requests are under way";
        return problem(app, StatusCode::SERVICE_UNAVAILABLE, why, "try again in a moment");
    };
    if let Ok(response) = tokio::time::timeout(LONGEST, next.run(request)).await {
        return response;
    }
    let why = "DynamoDB has not answered in time";
    problem(app, StatusCode::GATEWAY_TIMEOUT, why, "try again; the overview shows what was known last")
}

fn refusal(app: &App, request: &Request) -> Option<Response> {
    let headers = request.headers();
    let host = text(headers, &header::HOST)
        .or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str));
    let host = host.unwrap_or_default();
    // A name that an attacker lets point to this machine (DNS rebinding) is another host.
    if !app.settings.hosts.allow(host) {
        return Some((StatusCode::MISDIRECTED_REQUEST, "this host is not served\n").into_response());
    }
    let path = request.uri().path();
    let is_probe = path == "/healthz";
    if let Some(token) = app.settings.token.as_ref().filter(|_| !is_probe)
        && !has_token(headers, token)
    {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"tracker\", charset=\"UTF-8\"")];
        return Some(
            (StatusCode::UNAUTHORIZED, challenge, "the token is the password; any user name does\n")
                .into_response(),
        );
    }
    if is_embedded_elsewhere(headers) {
        return Some((StatusCode::FORBIDDEN, "another site may not read this page\n").into_response());
    }
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if !reads && !is_same_origin(headers, host) {
        let why = "a change must come from this page";
        return Some(problem(app, StatusCode::FORBIDDEN, why, "open the page, and try again there"));
    }
    None
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether another site asks for something that is not shown as a page of its own, such as an image: it could make this
/// server read without end.
fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    let is = |name: &'static str, value: &str| headers.get(name).is_some_and(|own| own == value);
    let is_foreign = is("sec-fetch-site", "cross-site") || is("sec-fetch-site", "same-site");
    is_foreign && !(is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document"))
}

/// Returns whether the page itself has sent a request. A browser sets these headers; a script of another site cannot.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let site = HeaderName::from_static("sec-fetch-site");
    if let Some(site) = headers.get(site) {
        return site == "same-origin";
    }
    let origin = text(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, own)| ["http", "https"].contains(&scheme) && own.eq_ignore_ascii_case(host))
}

/// Returns whether a request has the token: as a bearer, or as the password of any user.
fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let Some((scheme, given)) = text(headers, &header::AUTHORIZATION).and_then(|value| value.split_once(' '))
    else {
        return false;
    };
    let given = given.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return same(given.as_bytes(), token.trim());
    }
    let password = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(given).ok()).flatten();
    let password = password.and_then(|decoded| {
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(decoded[colon + 1..].to_vec())
    });
    password.is_some_and(|password| same(&password, token))
}

/// Compares in constant time, so that the time of a response does not tell how much is right.
fn same(given: &[u8], token: &str) -> bool {
    // An empty token protects nothing, so nobody has it.
    !token.is_empty() && bool::from(given.ct_eq(token.as_bytes()))
}
