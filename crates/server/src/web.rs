//! Plain HTTP beside gRPC: the version and the health of the member.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::json;

use crate::API_VERSION;
use crate::member::Member;

/// The routes.
pub(crate) fn routes(member: Arc<Member>) -> axum::Router {
    axum::Router::new()
        .route("/version", get(version))
        .route("/health", get(health))
        .with_state(member)
}

async fn version() -> Json<serde_json::Value> {
    Json(json!({
        "etcdserver": API_VERSION,
        "etcdcluster": "3.6.0",
        "storage": "3.6.0",
    }))
}

/// What `/health` may be asked.
#[derive(Debug, Default, serde::Deserialize)]
struct HealthQuery {
    /// Be content with this member's own state.
    #[serde(default)]
    serializable: Option<String>,
}

/// Healthy is a member that can serve: with a leader and, unless asked otherwise, a quorum that
/// confirms it.
async fn health(State(member): State<Arc<Member>>, Query(query): Query<HealthQuery>) -> Response {
    let answer = |code: StatusCode, health: &str, reason: &str| {
        (code, Json(json!({ "health": health, "reason": reason }))).into_response()
    };
    let ill = |reason: &str| answer(StatusCode::SERVICE_UNAVAILABLE, "false", reason);
    if let Some(halted) = member.node.halted() {
        return ill(&halted.to_string());
    }
    if member.node.status().leader.is_none() {
        return ill("RAFT NO LEADER");
    }
    if query.serializable.as_deref() != Some("true")
        && let Err(status) = member.linearize().await
    {
        return ill(status.message());
    }
    answer(StatusCode::OK, "true", "")
}
