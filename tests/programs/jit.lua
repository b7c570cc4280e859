-- Code that is compiled as it runs, and C called from it and calling it.
local ffi = require 'ffi'
ffi.cdef [[
int getpid(void);
double sqrt(double);
typedef struct { int x, y; } P;
void qsort(void *, size_t, size_t, int (*)(const int *, const int *));
]]
local sum = 0
for i = 1, 1e7 do sum = sum + i % 7 end
local p = ffi.new('P[1000]')
for k = 1, 100 do
    for i = 0, 999 do
        p[i].x = p[i].x + i
        p[i].y = bit.bxor(p[i].x, k)
    end
end
print(sum, p[999].x, p[999].y, require('jit').status())
local t = {}
for i = 1, 100000 do t[#t + 1] = tostring(i):rep(2) end
print(#table.concat(t), ffi.C.sqrt(2), ffi.C.getpid() > 0)
local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
print(fib(25))
local numbers = ffi.new('int[100]')
for i = 0, 99 do numbers[i] = i * 7919 % 101 end
ffi.C.qsort(numbers, 100, 4, function(a, b) return a[0] - b[0] end)
print(numbers[0], numbers[50], numbers[99])
