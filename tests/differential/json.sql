SELECT json('{"a" : [1, 2.50, null, true, "x"] }'), json_array(1, 'a', NULL, 2.5, json('[1]')), json_object('a', 1, 'b', json('{}'))

SELECT json('{a:1}')

SELECT json('{"a":1')

SELECT json('')

SELECT json(NULL)

SELECT json_valid('{}'), json_valid('{'), json_valid('{a:1}'), json_valid('')

SELECT json_valid(NULL)

SELECT json_extract('{"a":{"b":[1,2,3]}}', '$.a.b[1]'), json_extract('{"a":1}', '$.b'), json_extract('{"a":1,"b":2}', '$.a', '$.b'), json_extract('[1,2,3]', '$[#-1]')

SELECT json_extract('{"a":1}', 'a')

SELECT json_extract('{"a":1}', '$.')

SELECT json_extract('{"a":1}', '$[')

SELECT json_extract('nonsense', '$.a')

SELECT '{"a":{"b":1}}' -> '$.a', '{"a":{"b":1}}' ->> '$.a.b', '{"a":1}' -> 'a', '{"a":"x"}' ->> 'a', '[1,2]' ->> 1, '[1,2]' -> '$[0]'

SELECT '[1,2,3]' ->> -1

SELECT '{"a.b":1}' ->> 'a.b'

SELECT '{"a":null}' -> 'a', '{"a":null}' ->> 'a', '{"a":true}' ->> 'a', typeof('{"a":1.0}' ->> 'a')

SELECT json_set('{"a":1}', '$.b', 2), json_insert('{"a":1}', '$.a', 9, '$.c', 3), json_replace('{"a":1}', '$.a', 9, '$.c', 3), json_remove('{"a":1,"b":2}', '$.a'), json_set('[1]', '$[#]', 2)

SELECT json_patch('{"a":1,"b":2}', '{"b":null,"c":3}'), json_type('{"a":[1]}', '$.a'), json_type('1'), json_type('1.5'), json_type('null'), json_type('"a"'), json_type('true')

SELECT json_array_length('[1,2,3]'), json_array_length('{"a":[1]}', '$.a'), json_array_length('{}'), json_array_length('[1]', '$[5]')

SELECT json_quote('a"b'), json_quote(1.5), json_quote(NULL), json_quote(json('[1]'))

SELECT json_group_array(value), json_group_object(key, value) FROM json_each('{"a":1,"b":"x","c":null}')

SELECT json_group_array(value ORDER BY value DESC) FROM json_each('[1,3,2]')

SELECT key, value, type, atom, fullkey, path FROM json_each('{"a":1,"b":[1,2],"c":{"d":null},"e":"x","f":true,"g":1.5}')

SELECT key, value, type, atom, fullkey, path FROM json_tree('{"a":[1,{"b":2}]}')

SELECT id, parent FROM json_each('[1,2]')

SELECT key, value FROM json_each('{"a":{"b":[5,6]}}', '$.a.b')

SELECT * FROM json_each('not json')

SELECT count(*) FROM json_each(NULL)

SELECT value FROM json_each('5')

SELECT value FROM json_each('["é","🎉","\u0041","\n"]')

SELECT json_extract('{"a":"\ud83c\udf89"}', '$.a'), json_extract('["\u00e9"]', '$[0]')

SELECT value, length(value) FROM json_each('["\u0000x"]')

SELECT json_object('a')

SELECT json_object(1, 2)

SELECT json_group_array(DISTINCT value) FROM json_each('[1,1,2]')

SELECT json_extract('{"big":12345678901234567890}', '$.big'), json_extract('{"n":1e3}', '$.n'), json('{"n":1e3}')

SELECT json_error_position('{"a":')

SELECT json_pretty('{"a":1}')

SELECT json_array_insert('[1]', '$[0]', 0)

SELECT jsonb('{"a":1}')

SELECT typeof(jsonb('[1]')), json(jsonb('{"a": [1, 2]}')), jsonb_extract(jsonb('{"a":1}'), '$.a')

SELECT json(jsonb_set('{}', '$.a', 1)), json(jsonb_array(1, 2)), json(jsonb_object('a', 1)), json(jsonb_remove('{"a":1}', '$.a'))

SELECT json(jsonb_insert('{}', '$.a', 1)), json(jsonb_replace('{"a":1}', '$.a', 2)), json(jsonb_patch('{"a":1}', '{"b":2}'))

SELECT json(jsonb_group_array(value)), json(jsonb_group_object(value, value)) FROM json_each('[1,2]')

SELECT key, value FROM jsonb_each('{"a":1}')

SELECT key FROM jsonb_tree('{"a":1}')

SELECT json_valid('{a:1}', 2)

--# JSON5 as input
SELECT json('{a: 1, ''b'': .5, /* c */ d: +1, e: 0x10, f: [1,],}')

--# bulk read of a parameter
--? ["[[\"BTC\",1700000000,1.5],[\"ETH\",1700003600,2]]"]
SELECT value ->> 0 AS symbol, value ->> 1 AS ts, value ->> 2 AS price, typeof(value ->> 1), typeof(value ->> 2) FROM json_each(?)

CREATE TABLE prices (symbol TEXT NOT NULL, ts INTEGER NOT NULL, price REAL, PRIMARY KEY (symbol, ts)) WITHOUT ROWID

--# bulk insert of arrays
--? ["[[\"BTC\",1700000000,1.5],[\"ETH\",1700003600,2],[\"BTC\",1700003600,3.25]]"]
INSERT INTO prices SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)

--# bulk insert of objects, some of them there already
--? ["[{\"s\":\"BTC\",\"t\":1700000000,\"p\":9},{\"s\":\"SOL\",\"t\":1700000000,\"p\":null}]"]
INSERT INTO prices SELECT value ->> '$.s', value ->> '$.t', value ->> '$.p' FROM json_each(?1) WHERE 1 ON CONFLICT (symbol, ts) DO NOTHING

SELECT symbol, ts, price, typeof(ts), typeof(price) FROM prices ORDER BY symbol, ts

--# a null where the table wants a value
--? ["[[\"BTC\",null,1]]"]
INSERT INTO prices SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE 1 ON CONFLICT DO NOTHING

--# an IN list from JSON
--? ["[\"BTC\",\"SOL\"]"]
SELECT count(*) FROM prices WHERE symbol IN (SELECT value FROM json_each(?1))

--# an update from JSON
--? ["{\"BTC\":100}"]
UPDATE prices SET price = j.value FROM json_each(?1) AS j WHERE j.key = symbol

SELECT symbol, json_group_array(json_object('t', ts, 'p', price)) AS rows FROM prices GROUP BY symbol ORDER BY symbol

SELECT json_group_object(symbol, price) FROM (SELECT symbol, max(price) AS price FROM prices GROUP BY symbol)

CREATE TABLE documents (id INTEGER PRIMARY KEY, body TEXT CHECK (json_valid(body)), name TEXT GENERATED ALWAYS AS (body ->> '$.name') STORED)

INSERT INTO documents (body) VALUES ('{"name":"one"}'), ('{}') RETURNING id, name

INSERT INTO documents (body) VALUES ('{broken')

CREATE INDEX by_name ON documents (body ->> '$.name')

SELECT id FROM documents WHERE body ->> '$.name' = 'one'

SELECT documents.id, j.key FROM documents, json_each(documents.body) AS j
