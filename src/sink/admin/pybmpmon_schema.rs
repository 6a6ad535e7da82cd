//! Recognizes the tables of pybmpmon in `public`, which have the names of Holdfast's tables.

use tokio_postgres::Client;

/// Both have the column `bmp_peer_ip`; only Holdfast's table identifies records.
const IS_PYBMPMON: &str = "SELECT current_database()::text FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass('public.route_updates') AND attname = 'bmp_peer_ip'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
            WHERE attrelid = to_regclass('public.route_updates') AND attname = 'log_id')";

/// The name of the database if its schema `public` contains the tables of pybmpmon.
pub(super) async fn database_of_pybmpmon(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    client.query_opt(IS_PYBMPMON, &[]).await?.map(|row| row.try_get(0)).transpose()
}
