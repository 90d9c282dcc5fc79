SELECT 'it''s', "quoted as text", 'a' || 'b', 'a' || 1 || 2.5

SELECT length('héllo'), length('日本語'), length('🎉'), upper('straße é'), lower('ÀÉ ABC')

SELECT octet_length('é')

SELECT unicode('🎉'), char(127881, 97), char(0) = '', length(char(65, 0, 66)), instr('日本語', '語'), substr('日本語', 2), substr('日本語', -1)

--# unicode in parameters, columns and results
--? ["żółć 🎉 \u0000 日本", "\r\n\t\"'\\"]
SELECT ? AS "spalte_ü", ? AS "emoji 🎉"

--# a newline, a carriage return and a tab in a literal
SELECT 'a{{\n*1}}b{{\r\n*1}}c{{\t*1}}d', length('{{\r\n*1}}')

--# two newlines in a row within a literal
SELECT 'a{{\n*2}}b' AS x

--# CRLF between the words
SELECT{{\r\n*1}}1{{\r\n*1}}AS{{\r\n*1}}one

--# a byte order mark first
{{\ufeff*1}}SELECT 1

--# a no-break space is no space
SELECT{{\u00a0*1}}1

SELECT trim('  a  '), ltrim('xxa', 'x'), rtrim('axx', 'x'), trim('éaé', 'é'), replace('aaa', 'a', 'bb'), replace('abc', '', 'x')

SELECT substr('hello', 2, 3), substr('hello', -3, 2), substr('hello', 0, 2), substr('hello', 4, -2), substring('hello', 2), substr('hello', 10)

SELECT 'abc' LIKE 'A%', 'abc' LIKE '_b_', 'a%c' LIKE 'a\%c' ESCAPE '\', 'É' LIKE 'é', 'abc' GLOB 'a*', 'abc' GLOB 'A*', 'abc' GLOB '[a-c]bc', 'abc' NOT LIKE 'x%'

SELECT 'a' LIKE 'a' ESCAPE 'xx'

SELECT like('a%', 'abc'), glob('a*', 'abc'), like('a!%', 'a%', '!')

SELECT 'abc' REGEXP 'a'

SELECT 'abc' MATCH 'a'

SELECT 'a' = 'A' COLLATE NOCASE, 'a ' = 'a' COLLATE RTRIM, 'a' = 'A' COLLATE BINARY, 'é' = 'É' COLLATE NOCASE

SELECT 'a' COLLATE unknown

SELECT quote('it''s'), quote(1), quote(1.5), quote(x'00ff'), quote(NULL), hex('abc'), hex(255)

SELECT concat('a', NULL, 1)

SELECT concat_ws('-', 'a', NULL, 'b')

SELECT string_agg(value, '-') FROM json_each('["a","b"]')

SELECT group_concat(value), group_concat(value, '; ') FROM json_each('["a","b",null,"c"]')

SELECT group_concat(value ORDER BY value DESC) FROM json_each('["a","c","b"]')

SELECT group_concat(DISTINCT value) FROM json_each('["a","b","a"]')

SELECT unhex('4142')

SELECT soundex('hello')

SELECT 'a' < 'B', 'a' < 'B' COLLATE NOCASE, 'Z' < 'a', '10' < '9'

SELECT value FROM json_each('["b","A","a","B","é","z"]') ORDER BY value COLLATE NOCASE, value

SELECT 'unterminated

SELECT "no such column quoted"

SELECT `backquoted`

SELECT [bracketed]

--# an unknown name in double quotes is text
SELECT "abc" AS x, typeof("abc")

--# names with odd characters
SELECT 1 AS "a b", 2 AS "a""b", 3 AS [c d], 4 AS `e``f`, 5 AS 'g h'

--# columns without a name are called by their text
SELECT 1+1, 'x', (SELECT 2), upper( 'a' ), count(*) , max(1,2)

SELECT 1 AS a, 2 AS a, 3 AS A

--# the control character that JSON must escape
SELECT char(1, 8, 12, 31, 127, 133, 8232)

--# text that is no UTF-8
SELECT cast(x'ff41' AS TEXT), length(cast(x'ff41' AS TEXT))

--# text with a zero character
SELECT cast(x'410042' AS TEXT), length(cast(x'410042' AS TEXT)), hex(cast(x'410042' AS TEXT))

SELECT 'abc' IN ('ABC', 'abc'), ('a', 1) = ('a', 1), ('a', 1) < ('a', 2), (1, 2) IN (SELECT 1, 2)

SELECT instr('abc', 'c'), instr('abc', ''), instr(x'616263', x'63'), instr('abc', NULL)

SELECT zeroblob(3), typeof(zeroblob(3)), length(zeroblob(1000)), length(randomblob(16))
