CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB)

INSERT INTO blobs (data) VALUES (x'00010203ff'), (x''), (NULL), (zeroblob(4))

SELECT id, data, length(data), typeof(data) FROM blobs

--# bytes as parameter
--? [[0, 1, 254, 255]]
INSERT INTO blobs (data) VALUES (?) RETURNING id, data, hex(data)

--# an empty list is an empty blob
--? [[]]
SELECT typeof(?), length(?1), ?1 = x''

--# blobs are equal to themselves and not to text
--? [[97, 98]]
SELECT ? = x'6162', ?1 = 'ab', cast(?1 AS TEXT) = 'ab'

SELECT x'6162' || x'63', typeof(x'61' || x'62'), x'61' < x'62', hex(x'ABCD'), quote(x'ABCD')

SELECT x'0'

SELECT x'zz'

SELECT substr(x'01020304', 2, 2), replace(x'010203', x'02', x'ff'), instr(x'010203', x'03')

SELECT max(data), min(data), count(DISTINCT data) FROM blobs

SELECT x'61' LIKE 'a', x'61' GLOB 'a'

SELECT upper(x'61'), length(x'c3a9')

SELECT group_concat(x'61'), x'31' + 1, CASE WHEN x'31' THEN 1 ELSE 0 END

--# a list with a number that is no byte
--? [[1, 256, -1]]
SELECT hex(?)

SELECT json_array(x'61')

SELECT json_object('a', data) FROM blobs WHERE id = 1

SELECT randomblob(4) = randomblob(4), length(randomblob(-1)), length(zeroblob(0))

UPDATE blobs SET data = x'beef' WHERE id = 2 RETURNING data

DELETE FROM blobs WHERE data = x'beef' RETURNING id
