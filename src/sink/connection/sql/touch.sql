-- Attribute sets that already exist: keeps them from being deleted as unused (holdfast_clean_attributes).
UPDATE path_attributes a SET used_at = now()
FROM staged_attributes s
WHERE a.hash = s.hash AND a.used_at < now() - interval '1 day'
