//! The tables that pybmpmon has as well, as views in the schema `public`.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::sink::layout::{Layout, SchemaName};

/// Names of pybmpmon's tables.
const NAMES: [&str; 4] = ["route_updates", "route_state", "peer_events", "bmp_peers"];

/// For each name: whether it is taken in `public`, whether by a view of ours over the schema of the
/// connection, whether the role may replace that view, and whether it may create one.
const STATES: &str = "
    SELECT n.name, c.oid IS NOT NULL,
        coalesce(c.relkind = 'v' AND obj_description(c.oid, 'pg_class') LIKE 'Holdfast: %'
            AND EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid
                WHERE r.ev_class = c.oid AND d.classid = 'pg_rewrite'::regclass
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(n.name)), false),
        coalesce(pg_has_role(c.relowner, 'USAGE'), false),
        has_schema_privilege('public', 'CREATE')
    FROM unnest($1::text[]) AS n (name)
    LEFT JOIN pg_class c ON c.relname = n.name AND c.relnamespace = 'public'::regnamespace
    WHERE to_regclass(n.name) IS NOT NULL";

/// Grants to those who may read the table.
const GRANTS: &str = "
    SELECT format('GRANT SELECT ON public.%I TO %s', relname,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
    FROM pg_class CROSS JOIN aclexplode(relacl) a
    WHERE pg_class.oid = to_regclass($1) AND a.privilege_type = 'SELECT' AND a.grantee <> relowner";

/// Views that [`super::migrate`] created, removed or left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicViews {
    /// Names of the views that were created.
    pub created: Vec<String>,
    /// Names of the views that were removed.
    pub removed: Vec<String>,
    /// Views that are wanted and could not be created.
    pub skipped: Vec<SkippedView>,
}

/// A view that is wanted and could not be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedView {
    /// Name of the view.
    pub name: String,
    /// Why it was not created.
    pub reason: String,
}

impl PublicViews {
    /// Whether a view was created or removed.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        !self.created.is_empty() || !self.removed.is_empty()
    }
}

/// What is in `public` under the name of a view.
struct Found {
    name: String,
    is_taken: bool,
    is_ours: bool,
    may_replace: bool,
    may_create: bool,
}

async fn found(client: &Client) -> Result<Vec<Found>, tokio_postgres::Error> {
    // In a database without the schema, no name is taken or could be.
    let exists = "SELECT to_regnamespace('public') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = NAMES.to_vec();
    let rows = client.query(STATES, &[&names]).await?;
    let state = |row: &tokio_postgres::Row| {
        Ok(Found {
            name: row.try_get(0)?,
            is_taken: row.try_get(1)?,
            is_ours: row.try_get(2)?,
            may_replace: row.try_get(3)?,
            may_create: row.try_get(4)?,
        })
    };
    rows.iter().map(state).collect()
}

/// Creates or removes the views. Something else under their names is left alone. The search path of the
/// connection is the schema of the layout.
pub(super) async fn update(
    client: &Client,
    layout: &Layout,
    has_replaced_functions: bool,
) -> Result<PublicViews, tokio_postgres::Error> {
    let mut views = PublicViews::default();
    for Found { name, is_taken, is_ours, may_replace, may_create } in found(client).await? {
        let mut skip = |reason: String| {
            tracing::info!(view = name, reason, "public_view_skipped");
            views.skipped.push(SkippedView { name: name.clone(), reason });
        };
        match (layout.has_public_views, is_ours) {
            (false, true) if may_replace => {
                client.batch_execute(&format!("DROP VIEW public.{name}")).await?;
                views.removed.push(name);
            }
            (true, false) if is_taken => skip("the name is taken in public".to_owned()),
            (true, false) if !may_create => skip("the role lacks CREATE on schema public".to_owned()),
            (true, false) => {
                create(client, &layout.schema, &name).await?;
                views.created.push(name);
            }
            // New columns.
            (true, true) if has_replaced_functions && may_replace && may_create => {
                match create(client, &layout.schema, &name).await {
                    Err(error) if error.code() == Some(&SqlState::INVALID_TABLE_DEFINITION) => {
                        skip(format!("the view cannot be replaced: {error}"));
                    }
                    result => result?,
                }
            }
            _ => {}
        }
    }
    Ok(views)
}

async fn create(client: &Client, schema: &SchemaName, name: &str) -> Result<(), tokio_postgres::Error> {
    let sql = format!(
        "CREATE OR REPLACE VIEW public.{name} AS SELECT * FROM @schema@.{name};
        COMMENT ON VIEW public.{name} IS 'Holdfast: {schema}.{name}, under the name that it has in pybmpmon \
         (DB_PUBLIC_VIEWS).'"
    );
    client.batch_execute(&schema.fill_in(&sql)).await?;
    for row in client.query(GRANTS, &[&name]).await? {
        client.batch_execute(row.try_get(0)?).await?;
    }
    Ok(())
}

/// Removes the views before numbered migrations, which may change what they are over. One that other objects
/// depend on stays.
pub(super) async fn remove_before_migration(
    client: &Client,
    schema: &SchemaName,
) -> Result<(), tokio_postgres::Error> {
    if schema.is_public() {
        return Ok(());
    }
    for Found { name, .. } in found(client).await?.into_iter().filter(|view| view.is_ours && view.may_replace)
    {
        match client.batch_execute(&format!("DROP VIEW public.{name}")).await {
            Err(error) if error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {}
            result => result?,
        }
    }
    Ok(())
}
