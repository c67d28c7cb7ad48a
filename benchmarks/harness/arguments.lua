-- Other arguments in every request: a server that remembers paths gains nothing here.
local number = 0

function request()
    number = number + 1
    return wrk.format("GET", "/arguments/" .. number .. "/" .. number % 12 .. "/name" .. number)
end
