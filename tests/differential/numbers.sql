SELECT 1 + 1, 7 / 2, -7 / 2, 7 % 3, -7 % 3, 7 / 2.0, 7.5 % 2, 1 / 0, 1 % 0, 1.0 / 0

SELECT 9223372036854775807, -9223372036854775808

SELECT 9007199254740991, 9007199254740992, 9007199254740993

SELECT 9223372036854775807 + 1, typeof(9223372036854775807 + 1)

SELECT -9223372036854775808 - 1, 9223372036854775807 * 2

SELECT 9223372036854775808, typeof(9223372036854775808)

SELECT 1e308 * 10, -1e308 * 10, typeof(1e308 * 10)

SELECT 1e308 * 10 - 1e308 * 10

SELECT 0.1 + 0.2, 1e21, 1e-7, 123456789012345678, 1.0, -0.0, 100000000000000000000.0

SELECT cast(0.1 + 0.2 AS TEXT), cast(1e21 AS TEXT), cast(1e15 AS TEXT), cast(1e16 AS TEXT), cast(1.0 AS TEXT), cast(-0.0 AS TEXT)

SELECT cast(123456789.123456789 AS TEXT), cast(1e100 AS TEXT), cast(1.7976931348623157e308 AS TEXT), cast(5e-324 AS TEXT)

SELECT round(2.5), round(-2.5), round(3.14159, 2), round(1e300), round(1234.5678, -2), typeof(round(2))

SELECT abs(-5), abs(-5.5), abs('abc'), abs('-7')

SELECT abs(-9223372036854775808)

SELECT sum(9223372036854775807) FROM (SELECT 1 UNION ALL SELECT 2)

SELECT total(9223372036854775807) FROM (SELECT 1 UNION ALL SELECT 2)

SELECT 5 & 3, 5 | 3, ~5, 1 << 3, 1 << 64, -1 >> 1, 1 << -1, 5.7 & 3

SELECT sign(-3), sign(0), sign('a'), sign(2.5)

SELECT ceil(1.2), floor(-1.2), trunc(-1.7), ceil('a'), sqrt(16), sqrt(-1), pow(2, 10)

SELECT power(2, 0.5)

SELECT round(exp(1), 12), round(ln(10), 12), log(100), log10(1000), log2(8), log(2, 8), ln(0), ln(-1)

SELECT round(pi(), 12), round(sin(1), 12), round(cos(1), 12), round(tan(1), 12), round(atan2(1, 2), 12), round(degrees(pi()), 12), round(radians(180), 12), mod(7, 3), mod(7.5, 2)

SELECT round(asin(0.5), 12), round(acos(0.5), 12), round(atan(1), 12), round(sinh(1), 12), round(cosh(1), 12), round(tanh(1), 12), round(asinh(1), 12), round(acosh(2), 12), round(atanh(0.5), 12)

SELECT max(1, 2.5), min(1, 0.5), max(3), typeof(max(1, 2.0))

SELECT printf('%d|%5d|%-5d|%05d|%x|%X|%o|%c', 42, 42, 42, 42, 255, 255, 8, 'abc')

SELECT printf('%.2f|%e|%g|%10.3f|%+d', 3.14159, 12345.678, 0.0001, 2.5, 7), format('%s-%q-%Q-%w', 'a', 'it''s', 'it''s', 'x')

SELECT printf('%,d|%!.15g|%%', 1234567, 0.1), printf('%d', 9223372036854775807), printf('%s', NULL), printf('%s')

SELECT 'abc' + 1, '12abc' + 1, '1e2' * 1, x'31' + 0

SELECT 1.5 = '1.5', 10 > 9.99, 2 = 2.0000000000000001

--# numbers from JSON keep their type
SELECT typeof(value), value FROM json_each('[1, 1.0, 1e2, -0, 9007199254740993, 1e400]')

--# a parameter with a fraction
--? [0.1, -1e-300, 1e300]
SELECT ? + 0.2, ?, ?

--# a parameter that is zero and one negative
--? [0, -1]
SELECT ? = 0, ?, 10 + ?2

--# division of parameters is not integer division
--? [7, 2]
SELECT ? / ?

--# LIMIT and OFFSET as parameters
--? [2, 1]
SELECT value FROM json_each('[1,2,3,4]') LIMIT ? OFFSET ?

--# LIMIT with a fraction is refused
--? [1.5]
SELECT 1 LIMIT ?

SELECT 1 LIMIT 'abc'

SELECT 1 LIMIT -1

SELECT random() BETWEEN -9223372036854775808 AND 9223372036854775807, typeof(random())

SELECT 3.0, 2.50, 1e3, typeof(3.0), typeof(1e3)

SELECT sum(x), avg(x) FROM (SELECT 0.1 AS x UNION ALL SELECT 0.2 UNION ALL SELECT 0.3)

SELECT sum(x) FROM (SELECT 1e16 AS x UNION ALL SELECT 1.0 UNION ALL SELECT -1e16)
