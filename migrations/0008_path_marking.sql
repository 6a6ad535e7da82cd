-- Routers with BMP version 4 report the status of each path and the reason for it
-- (draft-ietf-grow-bmp-path-marking-tlv). The columns are nullable and have no default, so that no table is
-- rewritten.

ALTER TABLE route_updates ADD COLUMN path_status bigint, ADD COLUMN path_reason integer,
    ADD COLUMN path_marking text[];
ALTER TABLE kept_routes ADD COLUMN path_status bigint, ADD COLUMN path_reason integer,
    ADD COLUMN path_marking text[];
ALTER TABLE path_attributes ADD COLUMN path_status bigint, ADD COLUMN path_reason integer,
    ADD COLUMN path_marking text[];
COMMENT ON COLUMN route_updates.path_status IS
    'Bits of the path status that the router reports (BMP version 4), as received; null if it reports none.';
COMMENT ON COLUMN route_updates.path_reason IS
    'Reason code of the path status; null if the router sent none.';
COMMENT ON COLUMN route_updates.path_marking IS
    'Names of the bits of path_status, for example {best,primary}, then the meaning of path_reason.';
