package storetest

import (
	"testing"

	"github.com/weirflow/weir/store"
)

// Run checks that the ledgers the factory makes keep the contract.
func Run(t *testing.T, factory Factory) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.Ledger, *Clock)
	}{
		{"UnknownMustRegister", unknownMustRegister},
		{"LowestRankFirstUpToTheLimit", lowestRankFirst},
		{"OneLimitForAll", oneLimitForAll},
		{"LeastStatedLimitHolds", leastLimitHolds},
		{"HigherPriorityFirst", higherPriorityFirst},
		{"CeilingStopsABand", ceilingStopsABand},
		{"GuaranteeBeforePriority", guaranteeBeforePriority},
		{"GuaranteeIsNoCeiling", guaranteeIsNoCeiling},
		{"GuaranteeBelowASlot", guaranteeBelowASlot},
		{"FloatBecomesNoDebt", floatBecomesNoDebt},
		{"LostBeforeAnyEnded", lostBeforeAnyEnded},
		{"GuaranteeAboveTheCeiling", guaranteeAboveCeiling},
		{"LeastStatedGuaranteeHolds", leastGuaranteeHolds},
		{"GuaranteeSurvivesAWipe", guaranteeSurvives},
		{"GuaranteedAreNotRevoked", guaranteedNotRevoked},
		{"GuaranteeRevokes", guaranteeRevokes},
		{"GroupsShareByWeight", groupsShareByWeight},
		{"GroupsNest", groupsNest},
		{"ManyFlowsOfAGroupGainNothing", manyFlowsGainNothing},
		{"IdleGroupIsLifted", idleGroupIsLifted},
		{"GroupsOfRankedFlowsShareByRequests", rankedFlowsShareByRequests},
		{"GroupsAreSettled", groupsAreSettled},
		{"UnreadGrantsOfGroupsGoBack", unreadGrantsOfGroupsGoBack},
		{"RegisteringRestoresGroups", registeringRestoresGroups},
		{"FloatIsChargedToGroups", floatIsChargedToGroups},
		{"FlowMovesToAnotherGroup", flowMovesToAnotherGroup},
		{"WeightsAreSetAnew", weightsAreSetAnew},
		{"GroupMaximum", groupMaximum},
		{"MaximumOfOuterGroup", maximumOfOuterGroup},
		{"MaximumIsOfThePool", maximumIsOfThePool},
		{"MaximumEarnsNothing", maximumEarnsNothing},
		{"MaximumIsDueNothing", maximumIsDueNothing},
		{"MaximumCountsTheLost", maximumCountsTheLost},
		{"FlowsShareOverOwners", flowsShareOverOwners},
		{"WeightsCount", weightsCount},
		{"IdleFlowIsLifted", idleFlowIsLifted},
		{"NotLiftedWhileAnotherOwnerHasIt", notLiftedWhileStanding},
		{"UnmarkedFlowIsNotLifted", unmarkedNotLifted},
		{"NewcomersDoNotStarve", newcomersDoNotStarve},
		{"NewcomerComesAtTheLevel", newcomerComesAtTheLevel},
		{"LevelFollowsSettlements", levelFollowsSettlements},
		{"UncountedRanksStand", uncountedRanksStand},
		{"MessagesStayUntilRead", messagesStayUntilRead},
		{"RepeatedTurnChangesNothing", repeatedTurn},
		{"WithdrawnIsNotGranted", withdrawnIsNotGranted},
		{"WithdrawnWhenGranted", withdrawnWhenGranted},
		{"NewOwnerReplacesOffer", newOwnerReplaces},
		{"GrantedTicketIsNotOfferedAgain", grantedNotOfferedAgain},
		{"DroppedTicketIsNotTaken", droppedIsNotTaken},
		{"OldMessageForgetsNoGrant", oldMessageForgetsNoGrant},
		{"FullStatementReplacesOffers", full},
		{"SettledOncePerBatch", settledOnce},
		{"SettledOnceOverALoss", settledOnceOverALoss},
		{"SettlementMovesStandingOffers", settlementMoves},
		{"LeaseEnds", leaseEnds},
		{"UnreadGrantsAreNotCharged", unreadNotCharged},
		{"ChargesGoBackInOrder", givenBackInOrder},
		{"StatedDeadByAll", statedDead},
		{"LostCountUntilTheyAreBack", lostComesBack},
		{"LostCountUntilTheirProcessEnded", lostEnded},
		{"LostCountForTheLongestRequest", lostLongest},
		{"LostCountInANewGeneration", lostInNewGeneration},
		{"LostCountForTheirFloatInANewGeneration", lostFloatInNewGeneration},
		{"LostCountAtEndpointsAndLimits", lostElsewhere},
		{"LostAreSuperseded", lostSuperseded},
		{"IngressWithoutLease", ingressWithoutLease},
		{"RolledBack", rolledBack},
		{"RecoveryWaitsForMembers", recoveryWaits},
		{"RecoveryWaitsForWhoHadALease", recoveryWaitsForLeases},
		{"AllForgottenBeginsAnew", allForgotten},
		{"AloneBeginsAnew", aloneBeginsAnew},
		{"NewGenerationKeepsCounters", generationKeepsCounters},
		{"ServiceDecays", serviceDecays},
		{"RefundsDecay", refundsDecay},
		{"RevokesJustEnough", revokes},
		{"RegisteringRestoresTheBook", registeringRestores},
		{"TwoPoliciesTakeTurns", twoPolicies},
		{"LaterProcessWins", laterProcessWins},
		{"LeaveEndsTheLease", leave},
		{"GrantWakesIngress", grantWakes},
		{"TotalsOfTheFleet", totals},
		{"SuggestsTheLeastLoaded", suggestsLeast},
		{"LoadsAreStatedAnew", loadsStated},
		{"LoadsOfTheDeadGo", loadsOfTheDead},
		{"TokensCount", tokensCount},
		{"ReachBoundsOneself", reachBoundsOneself},
		{"WithoutEndpointsNothingIsGranted", withoutEndpoints},
		{"PassedOverKeepTheirPlace", passedOverKeepTheirPlace},
		{"LeastCapacityHolds", leastCapacityHolds},
		{"ShortRecallsEnds", shortRecallsEnds},
		{"DrainedLeavesTheRest", drainedLeavesTheRest},
		{"ImplausibleIsRefused", implausible},
		{"PreferredWhereThereIsRoom", preferred},
		{"PartsOfTheFleet", partsOfTheFleet},
		{"PermitsCountThere", permitsCountThere},
		{"PermitsOfTheLost", permitsOfTheLost},
		{"UnreadGrantsStayCounted", unreadStayCounted},
		{"LeaseholdersAreNamed", leaseholders},
		{"OverridesAreKept", overrides},
		{"UsageIsAddedUp", metering},
		{"FloatIsShared", floatIsShared},
		{"FloatIsRecalled", floatIsRecalled},
		{"FloatIsStatedAbsolutely", floatIsStatedAbsolutely},
		{"FloatKeepsToTheLowestOpenLimit", floatKeepsToTheLowestOpenLimit},
		{"FloatIsCharged", floatIsCharged},
		{"FloatIsNotInFlight", floatIsNotInFlight},
		{"NumbersOfOneDigit", numbersOfOneDigit},
		{"NumbersOfManyDigits", numbersOfManyDigits},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := NewClock()
			c.run(t, factory(t, clock.Now), clock)
		})
	}
	t.Run("HasAnIdentity", func(t *testing.T) { identity(t, factory) })
}

// offers is an edit that offers tickets.
func offers(os ...store.Offer) func(*store.Statement) {
	return func(s *store.Statement) { s.Offers = os }
}
