//! The database side: rows, transactions, migrations.
