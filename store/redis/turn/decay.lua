-- Service that is to count half after a while is not decayed: what is served later
-- counts the more. A book's scale says how much, in steps of a sixteenth of its
-- half-life; replicas never see it. See store/memory/decay.go.

local rescale
local REBASE_AFTER = 4096
do

local STEPS = 16
local FRACTIONS = { 1, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721, 1.241857812073484,
  1.2968395546510096, 1.3542555469368927, 1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
  1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474 }

-- Work out what one unit of service counts now, in the book's own terms.
function rescale(book)
  book.scale = 1
  if book.half_life == 0 then return end
  local at = math.floor(now / (book.half_life / STEPS))
  if book.origin == 0 then book.origin = at end
  book.steps = math.max(0, at - book.origin)
  book.scale = math.ldexp(FRACTIONS[book.steps % STEPS + 1], math.floor(book.steps / STEPS))
end

end
