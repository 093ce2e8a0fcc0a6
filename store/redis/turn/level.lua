-- The level: the virtual time of the ideal fluid server, where flows begin that a book
-- does not know. See store/memory/level.go for the bound.

-- The counter of a flow that the book does not know: no less than the lowest that waits.
local function beginning(book)
  local lowest, score = ranking.first(book)
  return lowest ~= SENTINEL and math.max(book.level, score) or book.level
end

-- Move the level for what a flow of that weight was charged, which left its counter where
-- it is.
local function follow(book, charge, counter, weight)
  if counter + charge >= book.level and book.weight > 0 then
    book.level, book.moved = book.level + charge * weight / math.max(book.weight, weight), true
  end
end

-- Move the level back for a correction (below zero) of what it has followed, as far as the
-- flow's counter, and V.
local function refund(book, delta, counter, weight)
  if book.weight <= 0 then return end
  local back = math.max(book.level + delta * weight / math.max(book.weight, weight), counter, book.v)
  if back < book.level then book.level, book.moved = back, true end
end

-- Move the level for a correction.
local function correct(book, moved, value, weight)
  if moved > 0 then follow(book, moved, value, weight) else refund(book, moved, value, weight) end
end

-- Have V and the level reach so far, but V passes no flow that waits.
local function reach(book, reached)
  local lowest, score = ranking.first(book)
  if lowest ~= SENTINEL then reached = math.min(reached, score) end
  book.v, book.level, book.moved = math.max(book.v, reached), math.max(book.level, reached), true
end

-- Count a flow's weight among those that wait, or no more. What rounding leaves, and a
-- weight that changed meanwhile, are put right once a second; see collect.
local function weigh(book, weight) book.weight, book.moved = book.weight + weight, true end
