-- Sets the passwords of the roles of roles.sql from the secrets of compose.yaml. Run by the container of the
-- database when its volume is empty.
\set ON_ERROR_STOP on
\if :{?secrets}
\else
    \set secrets /run/secrets
\endif
\setenv SECRETS :secrets
\set owner `cat "$SECRETS/owner"`
\set writer `cat "$SECRETS/writer"`
\set reader `cat "$SECRETS/reader"`
ALTER ROLE holdfast_owner PASSWORD :'owner';
ALTER ROLE holdfast_writer PASSWORD :'writer';
ALTER ROLE holdfast_reader PASSWORD :'reader';
