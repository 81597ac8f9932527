-- The health of a SalesforceBackup: what kstatus says of its conditions, in the words of Argo CD, and Suspended for a backup
-- that spec.suspend holds back. Needs no library, so it works as a built-in script and from argocd-cm alike.

local hookFinalizer = "argocd.argoproj.io/hook-finalizer"
local status = obj.status or {}

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function isTrue(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

-- Answers of the operator's simulator look like real ones, and nothing is backed up.
local function health(code, message)
  if isTrue("Simulated") then
    message = message .. " " .. conditions.Simulated.message
  end
  return { status = code, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  local isRunningHook = false
  for _, finalizer in ipairs(obj.metadata.finalizers or {}) do
    isRunningHook = isRunningHook or finalizer == hookFinalizer
  end
  if not isRunningHook then
    return health("Progressing", "The object is being deleted.")
  end
  -- A hook that is deleted while the sync waits for it stays until Argo CD takes its finalizer away, which it does when the
  -- hook has ended. What was submitted is followed to its end, below. What was not, never is any more.
  if status.phase == nil or status.phase == "Pending" then
    return health("Degraded", "The object was deleted before its backup was submitted: nothing will be started.")
  end
end

-- Until the operator has seen this spec, the conditions speak of the one before, perhaps of the run before.
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to see this generation of the object." }
end

if isTrue("Reconciling") then
  return health("Progressing", conditions.Reconciling.message)
end
if isTrue("Stalled") then
  return health("Degraded", conditions.Stalled.message)
end

local ready = conditions.Ready
if ready == nil then
  return health("Progressing", "Waiting for the operator.")
end
if ready.status == "True" then
  -- With spec.readyWhen: Submitted it is ready before its jobs end, and stays so: tell how they are, too.
  local finished = conditions.Finished
  if ready.reason == "Accepted" and finished ~= nil then
    return health("Healthy", ready.message .. " " .. finished.message)
  end
  return health("Healthy", ready.message)
end
if ready.reason == "Suspended" then
  return health("Suspended", ready.message)
end
return health("Progressing", ready.message)
