//! `/users`: who may sign in.

use super::extract::{Json, Name, Query};
use super::page::{ListQuery, Page};
use super::problem::Problem;
use crate::access::{AccessState, Password, Peer, Principal, Refused, Role, users};
use crate::connectors::user::{User, UserChange};
use axum::extract::{FromRef, State};
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    /// How many there are, on all pages.
    total: usize,
    users: Vec<User>,
}

/// A user that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// 1 to 64 characters: ASCII letters, digits, blanks inside, `-`, `_` and `.`.
    name: String,
    /// 12 to 1024 characters of any kind.
    password: Password,
    role: Role,
    /// The tenant's name; `tenant-admin` needs one, `root` has none, `read-only` without one reads all tenants.
    #[serde(default)]
    tenant: Option<String>,
}

/// What of a user is to be another; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserEdit {
    #[serde(default)]
    role: Option<Role>,
    /// The tenant's name, or null for all tenants.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    tenant: Option<Option<String>>,
    /// Whether the user may sign in.
    #[serde(default)]
    active: Option<bool>,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// The present one: needed to change one's own.
    #[serde(default)]
    current_password: Option<Password>,
    /// 12 to 1024 characters of any kind.
    password: Password,
}

/// A key that is there, null included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The routes, behind [`crate::access::layer`].
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccessState: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(list_users, add_user))
        .routes(routes!(show_user, edit_user, delete_user))
        .routes(routes!(set_password))
}

/// List the users that one sees
#[utoipa::path(
    get, path = "/users", tag = "users", params(ListQuery),
    responses(
        (status = 200, description = "The users", body = UserList),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not for this role", body = Problem, content_type = "application/problem+json"),
        (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_users(
    State(access): State<AccessState>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<Json<UserList>, Refused> {
    let mut users = users::list(&access.catalogue, &principal)?;
    users.retain(|user| {
        let tenant = user.tenant.as_deref().zip(user.tenant_id.as_deref());
        query.wants(&user.name, tenant)
    });
    let Page { total, entries } = query.page(
        users,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("tenant", |a, b| a.tenant.cmp(&b.tenant)),
            ("role", |a, b| a.role.as_str().cmp(b.role.as_str())),
            ("created", |a, b| a.created.cmp(&b.created)),
            ("last_login", |a, b| a.last_login.cmp(&b.last_login)),
        ],
    )?;
    Ok(Json(UserList {
        total,
        users: entries,
    }))
}

/// Make a user
#[utoipa::path(
    post, path = "/users", tag = "users", request_body = NewUser,
    responses(
        (status = 201, description = "The user", body = User),
        (status = 400, description = "No JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only for root", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not sent as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many passwords at once", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn add_user(
    State(access): State<AccessState>,
    principal: Principal,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), Refused> {
    let made = users::add(
        &access.catalogue,
        &access.passwords,
        &principal,
        users::New {
            name: &new.name,
            password: &new.password,
            role: new.role,
            tenant: new.tenant.as_deref(),
        },
    );
    Ok((StatusCode::CREATED, Json(made.await?)))
}

/// Show a user
#[utoipa::path(
    get, path = "/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The user's name")),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "None that one sees", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_user(
    State(access): State<AccessState>,
    principal: Principal,
    Name(name): Name,
) -> Result<Json<User>, Refused> {
    Ok(Json(users::show(&access.catalogue, &principal, &name)?))
}

/// Change a user's role, tenant or activity
#[utoipa::path(
    patch, path = "/users/{name}", tag = "users", request_body = UserEdit,
    params(("name" = String, Path, description = "The user's name")),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 400, description = "No JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only for root", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user or tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No active root user would be left, or role and tenant do not fit", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not sent as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A value cannot be used", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn edit_user(
    State(access): State<AccessState>,
    principal: Principal,
    Name(name): Name,
    Json(edit): Json<UserEdit>,
) -> Result<Json<User>, Refused> {
    let change = UserChange {
        role: edit.role,
        tenant: edit.tenant,
        active: edit.active,
    };
    let user = users::edit(&access.catalogue, &principal, &name, change).await?;
    Ok(Json(user))
}

/// Delete a user, whose sessions end
#[utoipa::path(
    delete, path = "/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The user's name")),
    responses(
        (status = 204, description = "The user was deleted"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only for root", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No active root user would be left", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_user(
    State(access): State<AccessState>,
    principal: Principal,
    Name(name): Name,
) -> Result<StatusCode, Refused> {
    users::delete(&access.catalogue, &principal, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a user another password; all sessions of the user end
#[utoipa::path(
    put, path = "/users/{name}/password", tag = "users", request_body = NewPassword,
    params(("name" = String, Path, description = "The user's name")),
    responses(
        (status = 204, description = "The password is another"),
        (status = 400, description = "No JSON", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Only for root and the user", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not sent as JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The present password is wrong, or the new one cannot be one", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong ones", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_password(
    State(access): State<AccessState>,
    principal: Principal,
    peer: Peer,
    Name(name): Name,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode, Refused> {
    let present = new.current_password.as_ref();
    users::change_password(&access, &principal, &name, present, &new.password, peer.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
